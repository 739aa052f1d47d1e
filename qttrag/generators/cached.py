"""Greedy completions that are computed once, across questions, strategies and runs."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Sequence
from dataclasses import asdict

from qttrag import trace
from qttrag.generators.completion_stream import CompletionStream, as_pieces, joined
from qttrag.protocols import Closable, Generator, Startable
from qttrag.runtime.cache import Cache, content_key
from qttrag.runtime.single_flight import CachedCalls
from qttrag.runtime.tasks import closing
from qttrag.text.reasoning import separate
from qttrag.types import Completion, Decoding, Message, Piece, Token

KIND = "completion"


class CachedGenerator:
    """Serves greedy completions from the cache or from an equal call in progress; sampled ones are always computed.

    A completion is stored when it is whole, and serves later calls, streamed or not. A call waits for the whole of an
    equal one in progress. A stream that is no `CompletionStream` serves streams only: whether it was cut is unknown.
    Counts: cached (from the cache or from another call), computed (by the inner generator)."""

    def __init__(self, inner: Generator, cache: Cache) -> None:
        self.inner = inner
        self.cache = cache
        self._calls = CachedCalls(cache, KIND, dump=_dump, load=_load)

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

    async def complete(self, messages: Sequence[Message], decoding: Decoding) -> Completion:
        if decoding.temperature > 0:
            trace.count("computed")
            return await self.inner.complete(messages, decoding)
        key = await asyncio.to_thread(self._key, messages, decoding)
        return await self._calls.get(key, lambda: self.inner.complete(messages, decoding))

    def generate(self, messages: Sequence[Message], decoding: Decoding) -> CompletionStream:
        return CompletionStream(self._pieces(messages, decoding))

    async def _pieces(self, messages: Sequence[Message], decoding: Decoding) -> AsyncGenerator[Piece]:
        async with closing(self.inner.generate(messages, decoding)) as stream:
            pieces = stream.pieces() if isinstance(stream, CompletionStream) else as_pieces(stream)
            if decoding.temperature > 0:
                trace.count("computed")
                async for piece in pieces:
                    yield piece
                return
            is_whole = isinstance(stream, CompletionStream)
            key = await asyncio.to_thread(self._key, messages, decoding, is_whole=is_whole)
            completion = None
            while completion is None:
                async with self._calls.round([key]) as round_:
                    if round_.missing:
                        trace.count("computed")
                        received = []
                        async for piece in pieces:
                            received.append(piece)
                            yield piece
                        round_.values[key] = joined(received)
                        return
                completion = round_.values.get(key)
        trace.count("cached")
        yield Piece(completion.text, completion.tokens, completion.cut, completion.reasoning)

    def _key(self, messages: Sequence[Message], decoding: Decoding, *, is_whole: bool = True) -> bytes:
        # off the event loop: the model may have to be downloaded for its identity
        parts = {"identity": self.identity, "messages": list(messages), "decoding": asdict(decoding)}
        return content_key(parts if is_whole else {**parts, "text_only": True})


def _dump(completion: Completion) -> str:
    fields = [completion.text, completion.cut, completion.tokens, completion.reasoning]
    return json.dumps(fields, ensure_ascii=False)


def _load(value: str) -> Completion:
    text, cut, tokens, *reasoning = json.loads(value)
    if not reasoning:  # stored before reasoning was separated
        text, separated, _ = separate(text)
        reasoning = [separated]
    return Completion(text, cut, tuple(Token(token, alternatives) for token, alternatives in tokens), reasoning[0])
