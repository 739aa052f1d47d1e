"""Greedy completions kept across questions, strategies and runs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import asdict

from qttrag import trace
from qttrag.caching import Cache, content_key
from qttrag.concurrency import InFlight
from qttrag.stages import Closable, Generator, Startable
from qttrag.types import Decoding, Message

KIND = "completion"


class CachedGenerator:
    """Asks the inner generator only for what no earlier call has had completed; sampled completions always.

    A completion is kept when it came to its end. A call that another is working on waits for the whole of it.
    Counts: cached (found or waited for), computed (asked of the inner generator)."""

    def __init__(self, inner: Generator, cache: Cache) -> None:
        self.inner = inner
        self.cache = cache
        self._in_flight: InFlight[str] = InFlight()

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
        key = await asyncio.to_thread(self._key, messages, decoding)
        while (other := self._in_flight.get(key)) is not None:
            await asyncio.wait([other])
            if not other.cancelled():
                whole = other.result()
                trace.count("cached")
                yield whole
                return
        with self._in_flight.computing([key]) as values:
            (found,) = await asyncio.to_thread(self.cache.get_many, KIND, [key])
            if found is None:
                trace.count("computed")
                pieces = []
                async for piece in self.inner.generate(messages, decoding):
                    pieces.append(piece)
                    yield piece
                values[key] = "".join(pieces)
                await asyncio.to_thread(self.cache.put_many, KIND, values)
                return
            values[key] = found
        trace.count("cached")
        yield found

    def _key(self, messages: Sequence[Message], decoding: Decoding) -> bytes:
        # off the event loop: a model's identity may have to be fetched or digested first
        return content_key({"identity": self.identity, "messages": list(messages), "decoding": asdict(decoding)})
