"""Greedy completions that are computed once, across questions, strategies and runs."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Sequence
from dataclasses import asdict

from qttrag import trace
from qttrag.generators.completion_stream import CompletionStream, as_pieces, joined
from qttrag.protocols import Closable, Generator, Startable
from qttrag.runtime.cache import content_key
from qttrag.runtime.result_cache import ResultCache
from qttrag.runtime.single_flight import CachedCalls
from qttrag.runtime.tasks import closing
from qttrag.text.reasoning import separate
from qttrag.types import Completion, Decoding, Message, Piece, Token, Usage

KIND = "completion"


class CachedGenerator:
    """Serves greedy completions from the cache or from an equal call in progress; sampled ones are always computed.

    A completion is stored when it is whole, and serves later calls, streamed or not. A call waits for the whole of an
    equal one in progress. A stream that is no `CompletionStream` serves streams only: whether it was cut is unknown.
    Counts: cached (from the cache or from another call), computed (by the inner generator), cached_prompt_tokens and
    cached_completion_tokens (of cached completions, when they were computed)."""

    def __init__(self, inner: Generator, cache: ResultCache) -> None:
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
        key, computed = await asyncio.to_thread(self._key, messages, decoding), False

        async def compute() -> Completion:
            nonlocal computed
            computed = True
            return await self.inner.complete(messages, decoding)

        completion = await self._calls.get(key, compute)
        if not computed:
            _count_usage(completion)
        return completion

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
        _count_usage(completion)
        text, tokens, cut = completion.text, completion.tokens, completion.cut
        yield Piece(text, tokens, cut, completion.reasoning, usage=completion.usage)

    def _key(self, messages: Sequence[Message], decoding: Decoding, *, is_whole: bool = True) -> bytes:
        # off the event loop: the model may have to be downloaded for its identity
        settings = {name: value for name, value in asdict(decoding).items() if name != "quote" or value}
        parts = {"identity": self.identity, "messages": list(messages), "decoding": settings}
        return content_key(parts if is_whole else {**parts, "text_only": True})


def _count_usage(completion: Completion) -> None:
    for name, tokens in completion.usage._asdict().items():
        trace.count(f"cached_{name}", tokens)


def _dump(completion: Completion) -> str:
    fields = [completion.text, completion.cut, completion.tokens, completion.reasoning, completion.usage]
    return json.dumps(fields, ensure_ascii=False)


def _load(value: str) -> Completion:
    text, cut, pairs, *later = json.loads(value)
    if not later:  # stored before reasoning was separated
        text, separated, _ = separate(text)
        later = [separated]
    reasoning, *usage = later
    tokens = tuple(Token(token, alternatives) for token, alternatives in pairs)
    return Completion(text, cut, tokens, reasoning, Usage(*usage[0]) if usage else Usage())
