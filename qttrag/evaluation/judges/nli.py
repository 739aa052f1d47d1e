"""A model of natural language inference in this process, e.g. an mDeBERTa that was trained on XNLI."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from qttrag import trace
from qttrag.errors import ConfigError, unknown
from qttrag.models import devices
from qttrag.models.loading import Lazy, LocatedModel, failed, locate, quiet
from qttrag.rerankers.pair_classifier import PairClassifier
from qttrag.runtime.batching import Batcher
from qttrag.types import Lang

_STAGE = "support_judge"
_ENTAILMENT = "entail"  # the beginning of the label, in any case


class _Pair(NamedTuple):
    premise: str
    claim: str
    tokens: int


class _Loaded(NamedTuple):
    tokenizer: Any  # a copy to count tokens; the model's own keeps the truncation of its last call, in another thread
    batcher: Batcher[_Pair, bool]


class NliJudge:
    """Support judge `nli`: a premise supports a claim if entailment is the most probable of the model's labels.

    `entailment`: the model's label for it; by default the one that begins with "entail". `max_tokens`: of premise and
    claim together; longer ones are cut and counted as truncated."""

    def __init__(
        self,
        model: str,
        *,
        revision: str | None = None,
        entailment: str | None = None,
        device: str = "auto",
        max_tokens: int = 512,
        batch_tokens: int = 16_384,
    ) -> None:
        self._model = model
        self._revision = revision
        self._entailment = entailment
        self._device = device
        self._max_tokens = max_tokens
        self._batch_tokens = batch_tokens
        self._lazy = Lazy(self._load)

    @property
    def identity(self) -> str:
        return f"nli:{self._located.revision}:{self._entailment or _ENTAILMENT}:{self._max_tokens}"

    @property
    def _located(self) -> LocatedModel:
        return locate(_STAGE, self._model, revision=self._revision, model_types=())

    async def start(self) -> None:
        await self._lazy.get()

    async def supports(self, premise: str, claim: str, lang: Lang) -> bool:
        tokenizer, batcher = await self._lazy.get()
        tokens = len(tokenizer(premise, claim, truncation=False, verbose=False)["input_ids"])
        trace.count("truncated", int(tokens > self._max_tokens))
        (supported,) = await batcher.map([_Pair(premise, claim, min(tokens, self._max_tokens))])
        return supported

    def _load(self) -> _Loaded:
        path, device = self._located.path, devices.pick(self._device)
        label = _label(path, self._entailment)
        quiet()
        try:
            model = PairClassifier(path, device=device, max_tokens=self._max_tokens)
        except ModuleNotFoundError:  # `Lazy` says how to install the package
            raise
        except Exception as error:
            raise ConfigError(f"{_STAGE}: {path} cannot be loaded for pairs of texts: {error}") from error

        def run(pairs: list[_Pair]) -> list[bool]:
            try:
                rows = model.logits([(pair.premise, pair.claim) for pair in pairs])
            except Exception as error:
                raise failed(_STAGE, error) from error
            return [row[label] == max(row) for row in rows]

        batcher = Batcher(
            run,
            executor=devices.executor(device),
            length=lambda pair: pair.tokens,
            max_length=self._batch_tokens,
            max_items=256,
        )
        return _Loaded(copy.deepcopy(model.tokenizer), batcher)


def _label(path: Path, name: str | None) -> int:
    """Return the number of the label that means entailment.

    Raises:
        ConfigError: the model has no such label, or several."""
    config = json.loads((path / "config.json").read_text(encoding="utf-8"))
    labels: Mapping[str, str] = config.get("id2label") or {}
    if name is not None:
        numbers = [number for number, label in labels.items() if label == name]
        if not numbers:
            raise ConfigError(f"{_STAGE}: {path}: {unknown('label', name, labels.values())}")
        return int(numbers[0])
    numbers = [number for number, label in labels.items() if label.lower().startswith(_ENTAILMENT)]
    if len(numbers) != 1:
        have = ", ".join(labels.values()) or "none"
        raise ConfigError(
            f"{_STAGE}: {path} does not say which of its labels is entailment (labels: {have}); "
            "set `entailment:` to it, or `model:` to a model of natural language inference"
        )
    return int(numbers[0])
