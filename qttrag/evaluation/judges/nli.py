"""A model of natural language inference in this process, e.g. an mDeBERTa that was trained on XNLI."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from qttrag.errors import ConfigError, unknown
from qttrag.models import devices
from qttrag.models.loading import Lazy, LocatedModel, locate, quiet
from qttrag.rerankers.pair_batches import PairBatches
from qttrag.rerankers.pair_classifier import PairClassifier
from qttrag.types import Lang

_STAGE = "support_judge"
_ENTAILMENT = "entail"  # the beginning of the label, in any case


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
        batches = await self._lazy.get()
        (supported,) = await batches.map([(premise, claim)])
        return supported

    def _load(self) -> PairBatches[bool]:
        path, device = self._located.path, devices.pick(self._device)
        label = _label(path, self._entailment)
        quiet()
        try:
            model = PairClassifier(path, device=device, max_tokens=self._max_tokens)
        except ModuleNotFoundError:  # `Lazy` says how to install the package
            raise
        except Exception as error:
            raise ConfigError(f"{_STAGE}: {path} cannot be loaded for pairs of texts: {error}") from error

        def run(pairs: Sequence[tuple[str, str]]) -> list[bool]:
            return [row[label] == max(row) for row in model.logits(pairs)]

        limits = {"max_tokens": self._max_tokens, "batch_tokens": self._batch_tokens}
        return PairBatches(_STAGE, model.tokenizer, run, device=device, **limits)


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
