"""Cross-encoders in this process, e.g. BAAI/bge-reranker-v2-m3: on CTranslate2 in int8, or on torch."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

from qttrag.errors import ConfigError
from qttrag.models import devices
from qttrag.models.loading import Lazy, LocatedModel, locate, quiet
from qttrag.rerankers import int8, pair_classifier
from qttrag.rerankers.by_score import by_score
from qttrag.rerankers.pair_batches import PairBatches
from qttrag.types import Hit, Query

_LOG = logging.getLogger(__name__)
_STAGE = "reranker"
_Score = Callable[[Sequence[tuple[str, str]]], Sequence[float]]


class CrossEncoderReranker:
    """Reranker kind `cross_encoder`: scores are the model's raw output for (question, passage), higher is better.

    A sigmoid would round the best passages to equal scores. `max_tokens`: of question and passage together; the paper
    has 256. `dtype` auto: int8 on a CPU for the architectures that CTranslate2 runs (BERT, RoBERTa, XLM-R), else the
    checkpoint's own. The first load in int8 converts the checkpoint into the cache folder."""

    def __init__(
        self,
        model: str,
        *,
        revision: str | None = None,
        device: str = "auto",
        dtype: Literal["auto", "float32", "int8"] = "auto",
        max_tokens: int = 256,
        batch_tokens: int = 16_384,
    ) -> None:
        self._model = model
        self._revision = revision
        self._device = device
        self._dtype = dtype
        self._max_tokens = max_tokens
        self._batch_tokens = batch_tokens
        self._lazy = Lazy(self._load)

    async def start(self) -> None:
        await self._lazy.get()

    async def rerank(self, query: Query, hits: Sequence[Hit]) -> list[Hit]:
        async def score(contents: list[str]) -> list[float]:
            batches = await self._lazy.get()
            return await batches.map([(query.text, content) for content in contents])

        return await by_score(hits, score, model=self._model)

    def _load(self) -> PairBatches[float]:
        located = locate(_STAGE, self._model, revision=self._revision, model_types=())
        _check(located.path)
        device = devices.pick(self._device)
        tokenizer, score = self._in_int8(located) if self._is_int8(located, device) else self._in_torch(located, device)

        def run(pairs: Sequence[tuple[str, str]]) -> list[float]:
            return list(map(float, score(pairs)))

        limits = {"max_tokens": self._max_tokens, "batch_tokens": self._batch_tokens}
        return PairBatches(_STAGE, tokenizer, run, device=device, **limits)

    def _is_int8(self, located: LocatedModel, device: str) -> bool:
        if self._dtype == "float32" or (self._dtype == "auto" and device != "cpu"):
            return False
        reason = f"int8 needs `device: cpu`, not '{device}'" if device != "cpu" else int8.unsupported(located.path)
        if reason and self._dtype == "int8":
            raise ConfigError(f"{_STAGE}: {located.path} cannot run in int8: {reason}; set `dtype: auto`")
        return reason is None

    def _in_int8(self, located: LocatedModel) -> tuple[Any, _Score]:
        model = int8.Int8CrossEncoder(located, max_tokens=self._max_tokens)
        return model.tokenizer, model.scores

    def _in_torch(self, located: LocatedModel, device: str) -> tuple[Any, _Score]:
        quiet()
        dtype = "float32" if self._dtype == "float32" else None
        try:
            return _open(located.path, device, self._max_tokens, dtype)
        except ModuleNotFoundError:  # `Lazy` says how to install the package
            raise
        except Exception as error:
            raise ConfigError(f"{_STAGE}: {located.path} cannot be loaded as a cross-encoder: {error}") from error


def _open(path: Path, device: str, max_tokens: int, dtype: str | None) -> tuple[Any, _Score]:
    """Load a cross-encoder, with the package sentence-transformers only if it needs it. `dtype` None: its own."""
    reason = pair_classifier.unsupported(path)
    if reason is None:
        model = pair_classifier.PairClassifier(path, device=device, max_tokens=max_tokens, dtype=dtype)
        return model.tokenizer, model.scores
    _LOG.info("%s needs sentence-transformers: %s", path, reason)
    return _packaged(path, device, max_tokens, dtype)


def _packaged(path: Path, device: str, max_tokens: int, dtype: str | None) -> tuple[Any, _Score]:
    import torch
    from sentence_transformers import CrossEncoder

    chosen = {} if dtype is None else {"dtype": dtype}
    model = CrossEncoder(
        str(path),
        device=device,
        local_files_only=True,
        activation_fn=torch.nn.Identity(),
        model_kwargs={"use_safetensors": True, **chosen},
    )
    model.max_seq_length = max_tokens

    def score(pairs: Sequence[tuple[str, str]]) -> Sequence[float]:
        scores: Sequence[float] = model.predict(list(pairs), batch_size=len(pairs), show_progress_bar=False)
        return scores

    return model.tokenizer, score


def _check(path: Path) -> None:
    config = json.loads((path / "config.json").read_text(encoding="utf-8"))
    architectures = config.get("architectures") or []
    labels = len(config.get("id2label") or {}) or config.get("num_labels", 0)
    if not any("SequenceClassification" in name for name in architectures) or labels != 1:
        raise ConfigError(
            f"{_STAGE}: {path} holds {', '.join(architectures) or 'no named architecture'} with {labels} labels, "
            "not a sequence classification model with one; set `model:` to a reranker"
        )
