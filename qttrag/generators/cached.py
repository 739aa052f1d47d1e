"""Greedy completions kept across questions, strategies and runs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import asdict

from qttrag import trace
from qttrag.caching import Cache, content_key
from qttrag.stages import Closable, Generator, Startable
from qttrag.types import Decoding, Message

KIND = "completion"


class CachedGenerator:
    """Asks the inner generator only for what no earlier call has had completed; sampled completions always.

    A completion is kept when it came to its end. Counts: cached (found), computed (asked of the inner generator)."""

    def __init__(self, inner: Generator, cache: Cache) -> None:
        self.inner = inner
        self.cache = cache

    @property
    def identity(self) -> str:
        return self.inner.identity

    @property
    def context(self) -> int:
        return self.inner.context

    async def start(self) -> None:
        if isinstance(self.inner, Startable):
            await self.inner.start()

    async def close(self) -> None:
        if isinstance(self.inner, Closable):
            await self.inner.close()

    async def count_tokens(self, messages: Sequence[Message]) -> int:
        return await self.inner.count_tokens(messages)

    async def generate(self, messages: Sequence[Message], decoding: Decoding) -> AsyncIterator[str]:
        if decoding.temperature > 0:
            trace.count("computed")
            async for piece in self.inner.generate(messages, decoding):
                yield piece
            return
        key = content_key({"identity": self.identity, "messages": list(messages), "decoding": asdict(decoding)})
        (found,) = await asyncio.to_thread(self.cache.get_many, KIND, [key])
        trace.count("computed" if found is None else "cached")
        if found is not None:
            yield found
            return
        pieces = []
        async for piece in self.inner.generate(messages, decoding):
            pieces.append(piece)
            yield piece
        await asyncio.to_thread(self.cache.put_many, KIND, {key: "".join(pieces)})
