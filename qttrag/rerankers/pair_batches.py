"""Pairs of texts for a model, in batches by length; pairs that are too long are counted."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any, Generic, NamedTuple, TypeVar

from qttrag import trace
from qttrag.models import devices
from qttrag.models.loading import failed
from qttrag.runtime.batching import Batcher

T = TypeVar("T")


class _Pair(NamedTuple):
    texts: tuple[str, str]
    tokens: int


class PairBatches(Generic[T]):
    """Runs a model of `stage` on `device` over pairs of texts.

    `run`: a batch of pairs -> a result for each. `max_tokens`: of both texts together; `run` cuts longer ones, which
    are counted as truncated. `batch_tokens`: of a batch."""

    def __init__(
        self,
        stage: str,
        tokenizer: Any,
        run: Callable[[Sequence[tuple[str, str]]], Sequence[T]],
        *,
        device: str,
        max_tokens: int,
        batch_tokens: int,
    ) -> None:
        def of_batch(pairs: list[_Pair]) -> list[T]:
            try:
                return list(run([pair.texts for pair in pairs]))
            except Exception as error:
                raise failed(stage, error) from error

        # a copy to count tokens; the model's own keeps the truncation of its last call, in another thread
        self._tokenizer = copy.deepcopy(tokenizer)
        self._max_tokens = max_tokens
        self._batcher = Batcher(
            of_batch,
            executor=devices.executor(device),
            length=lambda pair: pair.tokens,
            max_length=batch_tokens,
            max_items=256,
        )

    async def map(self, pairs: Sequence[tuple[str, str]]) -> list[T]:
        """Return the results of the pairs, in order.

        Raises:
            StageError: the model failed."""
        first, second = ([pair[n] for pair in pairs] for n in (0, 1))
        ids = self._tokenizer(first, second, truncation=False, verbose=False)["input_ids"]
        trace.count("truncated", sum(len(row) > self._max_tokens for row in ids))
        rows = zip(pairs, ids, strict=True)
        return await self._batcher.map([_Pair(texts, min(len(row), self._max_tokens)) for texts, row in rows])
