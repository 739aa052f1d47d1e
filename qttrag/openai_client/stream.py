"""Reading a streamed chat completion chunk by chunk."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any, NamedTuple

from qttrag import trace
from qttrag.openai_client.capabilities import Request
from qttrag.openai_client.client import Call, ModelClient
from qttrag.types import Piece, Token

if TYPE_CHECKING:
    import openai


class _Stream(NamedTuple):
    """A stream of chunks and the first of them, None if there is none."""

    chunks: Any
    first: Any


async def stream_completion(client: ModelClient, request: Request) -> AsyncGenerator[Piece]:
    """Yield the pieces of a completion as they arrive; once one has arrived, nothing is retried.

    Counts: prompt_tokens, completion_tokens, cut_at_max_tokens.

    Raises:
        BrokenOff: the stream stopped before its end.
        StageError: no server began one, or it took too long."""
    request = {**request, "stream": True, "stream_options": {"include_usage": True}}
    async with client.call(request, _open) as call:
        finish = None
        chunk = call.reply.first
        while chunk is not None:
            if chunk.usage is not None:
                trace.count("prompt_tokens", chunk.usage.prompt_tokens)
                trace.count("completion_tokens", chunk.usage.completion_tokens)
            for choice in chunk.choices[:1]:
                finish = choice.finish_reason or finish
                yield Piece(choice.delta.content or "", _tokens(choice), finish == "length")
            chunk = await _next(client, call)
        _check_ending(client, call, finish)
        trace.count("cut_at_max_tokens", int(finish == "length"))


async def _open(client: openai.AsyncOpenAI, request: Request, held: AsyncExitStack) -> _Stream:
    chunks: Any = await client.chat.completions.create(**request)
    held.push_async_callback(chunks.close)
    return _Stream(chunks, await anext(aiter(chunks), None))


async def _next(client: ModelClient, call: Call[_Stream]) -> Any:
    """Return the next chunk, None after the last."""
    try:
        async with asyncio.timeout_at(call.deadline):
            return await anext(aiter(call.reply.chunks), None)
    except TimeoutError as error:
        raise client.errors(call.server).explain(error) from error
    except Exception as error:
        call.server.breaker.failed()
        raise client.errors(call.server).interrupted(error) from error


def _check_ending(client: ModelClient, call: Call[_Stream], finish: str | None) -> None:
    errors = client.errors(call.server)
    if call.reply.first is None:
        raise errors.no_stream(call.reply.chunks.response.headers.get("content-type", ""))
    if error := errors.ending(finish):
        raise error


def _tokens(choice: Any) -> list[Token]:
    logprobs = choice.logprobs.content if choice.logprobs else None
    return [
        Token(token.token, {other.token: other.logprob for other in token.top_logprobs}) for token in logprobs or []
    ]
