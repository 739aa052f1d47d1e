"""One call of a language model in this process: a prompt waits for the device, and its text comes piece by piece."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Any, NamedTuple

from qttrag import trace
from qttrag.errors import StageError, StageUnavailable
from qttrag.generators.streaming import RowStream
from qttrag.runtime.batching import Batcher
from qttrag.types import Decoding, Piece, Usage

_STAGE = "generator"


@dataclass(eq=False, slots=True)
class Request:
    """A prompt in a batch; its text goes to `stream`."""

    ids: list[int]
    decoding: Decoding
    stream: RowStream


class Call(NamedTuple):
    """What bounds a call. `context`: tokens of prompt and completion. `timeout`: seconds, including the wait."""

    model: str
    context: int
    timeout: float

    async def pieces(
        self, batcher: Batcher[Request, int], tokenizer: Any, ids: list[int], decoding: Decoding
    ) -> AsyncGenerator[Piece]:
        """Yield the pieces as they are generated; the last one has no text.

        Raises:
            StageError: prompt and completion exceed the context, or the model failed.
            StageUnavailable: the time was over."""
        if len(ids) + decoding.max_tokens > self.context:
            raise StageError(
                _STAGE,
                f"a prompt of {len(ids)} tokens and {decoding.max_tokens} to generate exceed the model's context of "
                f"{self.context}; shorten the text or use a model with more `context:`",
            )
        trace.count("calls")
        trace.count("prompt_tokens", len(ids))
        texts: asyncio.Queue[str | None] = asyncio.Queue()
        loop = asyncio.get_running_loop()
        stream = RowStream(
            tokenizer, lambda text: loop.call_soon_threadsafe(texts.put_nowait, text), decoding.max_tokens
        )
        work = asyncio.ensure_future(batcher.map([Request(ids, decoding, stream)]))
        work.add_done_callback(lambda _: texts.put_nowait(None))
        deadline = loop.time() + self.timeout
        try:
            while (text := await self._next(texts, deadline)) is not None:
                yield Piece(text)
            (tokens,) = await work
            trace.count("completion_tokens", tokens)
            trace.count("cut_at_max_tokens", int(not stream.ended))
            yield Piece("", stream.with_alternatives, cut=not stream.ended, usage=Usage(len(ids), tokens))
        finally:
            stream.abandoned = True
            work.cancel()

    async def _next(self, texts: asyncio.Queue[str | None], deadline: float) -> str | None:
        try:
            async with asyncio.timeout_at(deadline):
                return await texts.get()
        except TimeoutError as error:
            message = f"{self.model} was not done after {self.timeout:g} s; raise `call_timeout:`"
            raise StageUnavailable(_STAGE, message) from error
