"""An encoder of queries for concurrent calls."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, NamedTuple

from qttrag.models import devices
from qttrag.protocols import Parallel, QueryEncoder
from qttrag.runtime.batching import Batcher
from qttrag.types import Embedded

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class _Text(NamedTuple):
    text: str
    tokens: int


class ConcurrentEncoder:
    """Texts that come while the encoder is busy form its next batches; a `Parallel` one has several at once."""

    def __init__(self, encoder: QueryEncoder, *, batch_tokens: int) -> None:
        """`batch_tokens`: tokens in a batch, padding included."""
        at_once = encoder.parallel_batches if isinstance(encoder, Parallel) else 1
        own = ThreadPoolExecutor(at_once, thread_name_prefix="qttrag-queries") if at_once > 1 else None
        self.info = encoder.info
        self.encoder = encoder
        self._batcher: Batcher[_Text, NDArray[np.float32]] = Batcher(
            lambda texts: list(encoder.encode([text.text for text in texts])),
            executor=own or devices.executor(encoder.device),
            length=lambda text: text.tokens,
            max_length=batch_tokens,
            at_once=at_once,
        )

    async def encode(self, texts: Sequence[str]) -> list[Embedded]:
        """Encode texts, cut to `info.max_tokens`.

        Raises:
            StageError: the model or server failed."""
        items = [_Text(text, await self._length(text, alone=len(texts) == 1)) for text in texts]
        vectors = await self._batcher.map(
            [item._replace(tokens=min(item.tokens, self.info.max_tokens)) for item in items]
        )
        return [Embedded(vector, item.tokens) for vector, item in zip(vectors, items, strict=True)]

    async def _length(self, text: str, *, alone: bool) -> int:
        if not alone:
            await asyncio.sleep(0)  # long texts take their time: let the loop serve others between two of them
        (tokens,) = self.encoder.lengths([text])
        return tokens
