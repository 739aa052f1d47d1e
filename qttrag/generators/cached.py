"""Greedy completions kept across questions, strategies and runs."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import asdict

from qttrag import trace
from qttrag.protocols import Closable, Generator, Startable
from qttrag.runtime.cache import Cache, content_key
from qttrag.runtime.single_flight import InFlight
from qttrag.runtime.tasks import closing
from qttrag.types import Completion, Decoding, Message, Token

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
        asked = self._through("pieces", messages, decoding, lambda: self.inner.generate(messages, decoding))
        async with closing(asked) as pieces:
            async for piece in pieces:
                yield piece

    async def complete(self, messages: Sequence[Message], decoding: Decoding) -> Completion:
        async def whole() -> AsyncIterator[str]:
            yield _write(await self.inner.complete(messages, decoding))

        return _read("".join([text async for text in self._through("whole", messages, decoding, whole)]))

    async def _through(
        self, how: str, messages: Sequence[Message], decoding: Decoding, ask: Callable[[], AsyncIterator[str]]
    ) -> AsyncIterator[str]:
        """Yield what is kept, or the pieces of what `ask` gives; what is kept of one `how` is of no use to another."""
        if decoding.temperature > 0:
            trace.count("computed")
            async with closing(ask()) as pieces:
                async for piece in pieces:
                    yield piece
            return
        key = await asyncio.to_thread(self._key, how, messages, decoding)
        while (other := self._in_flight.get(key)) is not None:
            await asyncio.wait([other])
            if not other.cancelled():
                kept = other.result()
                trace.count("cached")
                yield kept
                return
        with self._in_flight.computing([key]) as values:
            (found,) = await asyncio.to_thread(self.cache.get_many, KIND, [key])
            if found is None:
                trace.count("computed")
                whole = []
                async with closing(ask()) as pieces:
                    async for piece in pieces:
                        whole.append(piece)
                        yield piece
                values[key] = "".join(whole)
                await asyncio.to_thread(self.cache.put_many, KIND, values)
                return
            values[key] = found
        trace.count("cached")
        yield found

    def _key(self, how: str, messages: Sequence[Message], decoding: Decoding) -> bytes:
        # off the event loop: a model's identity may have to be fetched or digested first
        parts = {"identity": self.identity, "how": how, "messages": list(messages), "decoding": asdict(decoding)}
        return content_key(parts)


def _write(completion: Completion) -> str:
    return json.dumps([completion.text, completion.cut, completion.tokens], ensure_ascii=False)


def _read(value: str) -> Completion:
    text, cut, tokens = json.loads(value)
    return Completion(text, cut, tuple(Token(token, alternatives) for token, alternatives in tokens))
