"""Reading a streamed chat completion chunk by chunk."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, aclosing
from typing import TYPE_CHECKING, Any, NamedTuple

from qttrag import trace
from qttrag.errors import BrokenOff
from qttrag.openai_client.balancing import Server
from qttrag.openai_client.capabilities import Request
from qttrag.openai_client.chunks import Chunk, SurrogateJoiner, parse
from qttrag.openai_client.client import Call, ModelClient
from qttrag.openai_client.events import event_data
from qttrag.types import Piece, Usage

if TYPE_CHECKING:
    import openai


class _Stream(NamedTuple):
    """A stream of chunks and the first of them, None if there is none. `received`: what came in place of a stream."""

    chunks: AsyncGenerator[Chunk]
    first: Chunk | None
    received: str


async def stream_completion(
    client: ModelClient, request: Request, *, only: Server | None = None
) -> AsyncGenerator[Piece]:
    """Yield the pieces of a completion as they arrive; once one has arrived, nothing is retried.

    A stream is whole if it has a finish reason, or text and then `[DONE]`.
    `only`: use this server. Counts: prompt_tokens, completion_tokens, cut_at_max_tokens.

    Raises:
        BrokenOff: the stream stopped before its end.
        StageError: no server began one, or it took too long."""
    async with client.call(request, _open, only=only) as call:
        usage, finish, is_cut, has_text = Usage(), None, False, False
        texts, thoughts = SurrogateJoiner(), SurrogateJoiner()
        chunk = call.reply.first
        while chunk is not None:
            usage = chunk.usage or usage  # some servers send the usage so far in every chunk
            finish, is_cut = (chunk.finish, chunk.is_cut) if chunk.finish else (finish, is_cut)
            has_text = has_text or bool(chunk.text or chunk.reasoning)
            if chunk.is_last and has_text:
                finish = finish or "stop"
            yield Piece(texts.feed(chunk.text), chunk.tokens, reasoning=thoughts.feed(chunk.reasoning))
            chunk = await _next(client, call)
        _check_ending(client, call, finish)
        trace.count("prompt_tokens", usage.prompt_tokens)
        trace.count("completion_tokens", usage.completion_tokens)
        trace.count("cut_at_max_tokens", int(is_cut))
        yield Piece(texts.finish(), cut=is_cut, reasoning=thoughts.finish(), usage=usage)


async def _open(client: openai.AsyncOpenAI, request: Request, held: AsyncExitStack) -> _Stream:
    import httpx2
    import openai

    own = ("model", "messages", "extra_headers")
    create: Any = client.chat.completions.with_streaming_response.create
    call = create(
        **{key: request[key] for key in own if key in request},
        stream=True,
        extra_body={key: value for key, value in request.items() if key not in own},
    )
    response = await held.enter_async_context(call)
    content_type = response.headers.get("content-type", "")
    chunks = await held.enter_async_context(aclosing(_chunks(response)))
    try:
        first = await anext(chunks, None)
        while first is not None and first.is_empty:
            first = await anext(chunks, None)
    except httpx2.TimeoutException as error:
        raise openai.APITimeoutError(error.request) from error
    except httpx2.TransportError as error:
        raise openai.APIConnectionError(request=error.request) from error
    return _Stream(chunks, first, "" if "event-stream" in content_type else content_type)


async def _chunks(response: Any) -> AsyncGenerator[Chunk]:
    if "json" in response.headers.get("content-type", ""):  # a server that does not stream
        body = await response.read()
        if body.strip() and not body.lstrip().startswith(b"data:"):
            chunk = parse(body)
            yield chunk._replace(finish=chunk.finish or ("stop" if chunk.text else None))
            return
    async with aclosing(event_data(response.iter_bytes())) as events:
        async for data in events:
            if data.strip() == b"[DONE]":
                yield Chunk(is_last=True)
                return
            yield parse(data)


async def _next(client: ModelClient, call: Call[_Stream]) -> Chunk | None:
    """Return the next chunk, None after the last."""
    try:
        async with asyncio.timeout_at(call.deadline):
            return await anext(call.reply.chunks, None)
    except TimeoutError as error:
        raise client.errors(call.server).explain(error) from error
    except Exception as error:
        call.server.breaker.failed()
        call.server.interrupted()
        raise client.errors(call.server).interrupted(error) from error


def _check_ending(client: ModelClient, call: Call[_Stream], finish: str | None) -> None:
    errors = client.errors(call.server)
    if call.reply.first is None:
        raise errors.no_stream(call.reply.received)
    if error := errors.ending(finish):
        if isinstance(error, BrokenOff):
            call.server.interrupted()
        raise error
