"""Language models in this process: a prompt waits for the device, and its text comes piece by piece."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from qttrag import trace
from qttrag.errors import StageError, StageUnavailable
from qttrag.generators.beginnings import SystemTurns
from qttrag.generators.completion_stream import CompletionStream, separated
from qttrag.generators.streaming import RowStream
from qttrag.models.loading import Lazy
from qttrag.runtime.batching import Batcher
from qttrag.text.reasoning import ReasoningSeparator
from qttrag.types import Completion, Decoding, Message, Piece, Usage

_STAGE = "generator"


@dataclass(eq=False, slots=True)
class Request:
    """A prompt in a batch; its text goes to `stream`. `instructions`: as `SystemTurns.length`."""

    ids: list[int]
    decoding: Decoding
    stream: RowStream
    instructions: int = 0


class Call(NamedTuple):
    """What bounds a call. `context`: tokens of prompt and completion. `timeout`: seconds, including the wait."""

    model: str
    context: int
    timeout: float

    async def pieces(
        self, batcher: Batcher[Request, int], tokenizer: Any, ids: list[int], decoding: Decoding, instructions: int
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
            tokenizer,
            lambda text: loop.call_soon_threadsafe(texts.put_nowait, text),
            decoding.max_tokens,
            reports=decoding.alternatives > 0,
        )
        work = asyncio.ensure_future(batcher.map([Request(ids, decoding, stream, instructions)]))
        work.add_done_callback(lambda _: texts.put_nowait(None))
        deadline = loop.time() + self.timeout
        try:
            while (text := await self._next(texts, deadline)) is not None:
                yield Piece(text)
            (tokens,) = await work
            trace.count("completion_tokens", tokens)
            trace.count("cut_at_max_tokens", int(not stream.ended))
            trace.count("steered_tokens", stream.steered)
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


class ChatFormat(Protocol):
    """The chat template of a model and its `tokenizer`, which `RowStream` reads tokens with."""

    @property
    def tokenizer(self) -> Any: ...

    def prompt(self, messages: Sequence[Message]) -> list[int]:
        """Return the tokens of a chat, to the beginning of the reply."""
        ...

    def separator(self, prompt: Sequence[int]) -> ReasoningSeparator:
        """Return a separator for the completion of a prompt, in which a block of reasoning may have begun."""
        ...


class InProcessGenerator(ABC):
    """What generators in this process have in common; a subclass sets the attributes.

    `_lazy_chat` is apart from `_lazy`, the weights, which counting tokens does not need."""

    _model: str
    _call_timeout: float
    _lazy_chat: Lazy[ChatFormat]
    _lazy: Lazy[Batcher[Request, int]]
    _system_turns: SystemTurns

    @property
    @abstractmethod
    def context(self) -> int: ...

    async def start(self) -> None:
        await self._lazy_chat.get()
        await self._lazy.get()

    async def count_tokens(self, messages: Sequence[Message]) -> int:
        return len((await self._lazy_chat.get()).prompt(messages))

    def generate(self, messages: Sequence[Message], decoding: Decoding) -> CompletionStream:
        return CompletionStream(self._pieces(messages, decoding))

    async def complete(self, messages: Sequence[Message], decoding: Decoding) -> Completion:
        return await self.generate(messages, decoding).whole()

    async def _pieces(self, messages: Sequence[Message], decoding: Decoding) -> AsyncGenerator[Piece]:
        chat, batcher = await self._lazy_chat.get(), await self._lazy.get()
        ids = chat.prompt(messages)
        call = Call(self._model, self.context, self._call_timeout)
        instructions = self._system_turns.length(messages, ids)
        async with aclosing(call.pieces(batcher, chat.tokenizer, ids, decoding, instructions)) as pieces:
            async for piece in separated(pieces, chat.separator(ids)):
                yield piece
