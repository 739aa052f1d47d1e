"""Language models behind any OpenAI-compatible server: vLLM, llama.cpp, Ollama, hosted APIs."""

from __future__ import annotations

import asyncio
import math
import os
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from typing import Any, NamedTuple

from qttrag import trace
from qttrag.errors import BrokenOff, ConfigError
from qttrag.models.loading import Lazy, locate
from qttrag.openai_client.balancing import Pool, Server
from qttrag.openai_client.client import Calls, Limits
from qttrag.openai_client.errors import STAGE
from qttrag.types import Completion, Decoding, Message, Token

_BYTES_PER_TOKEN = 2  # English has some 4, Korean and Thai some 2.5 in the tokenizers of current models
_TOKENS_PER_MESSAGE = 16  # role tokens of chat templates, generously
_BEGUN_AGAIN = 2  # times that a completion which broke off is asked for anew


class _Connected(NamedTuple):
    """The servers and what is in flight to them; all of it belongs to one event loop."""

    loop: asyncio.AbstractEventLoop
    calls: Calls


class _Piece(NamedTuple):
    """What came in one chunk. `cut`: known with the last one."""

    text: str
    tokens: list[Token]
    cut: bool


class OpenAIGenerator:
    """Generator kind `openai`.

    `base_url`: one or several that serve the same model; a call goes to the least busy that works.
    `api_key_env` names the environment variable that holds the key; servers without keys need none.
    `context`: tokens the served model has for prompt and completion. `tokenizer`: a folder or hub name, to count
    tokens exactly; without one the count is an estimate on the safe side.
    `timeout`: seconds without a byte; `call_timeout`: seconds for a whole call. A call that runs into either is
    asked again only of another server.
    `retries`: after 5xx and while a server cannot be reached. One that has answered before, and one that is
    overloaded (429), is tried for `patience` seconds; with `retries: 0` nothing is.
    `in_flight`: calls at once to each server, fewer while it refuses some or lets most of them wait.
    `extra_body`: further fields of the request, as the server defines them."""

    def __init__(
        self,
        model: str,
        *,
        base_url: str | list[str],
        api_key_env: str = "OPENAI_API_KEY",
        context: int = 8192,
        tokenizer: str | None = None,
        timeout: float = 60.0,
        connect_timeout: float = 5.0,
        call_timeout: float = 600.0,
        patience: float = 30.0,
        retries: int = 3,
        in_flight: int = 64,
        extra_body: dict[str, Any] | None = None,
    ) -> None:
        self._model = model
        self._base_urls = _checked_urls([base_url] if isinstance(base_url, str) else base_url)
        _check("in_flight", in_flight, enough=in_flight >= 1, way_out="1 or more")
        _check("retries", retries, enough=retries >= 0, way_out="0 or more")
        _check("patience", patience, enough=patience >= 0, way_out="0 or more")
        _check("timeout", timeout, enough=timeout > 0, way_out="a number of seconds above 0")
        _check("connect_timeout", connect_timeout, enough=connect_timeout > 0, way_out="a number of seconds above 0")
        _check("call_timeout", call_timeout, enough=call_timeout > 0, way_out="a number of seconds above 0")
        self._api_key_env = api_key_env
        self._context = context
        self._tokenizer = None if tokenizer is None else Lazy(lambda: _load_tokenizer(tokenizer))
        self._connect_timeout = connect_timeout
        self._limits = Limits(timeout, call_timeout, patience, retries)
        self._in_flight = in_flight
        self._connection: _Connected | None = None
        self._extra_body = extra_body or {}

    @property
    def identity(self) -> str:
        return f"openai:{','.join(sorted(self._base_urls))}:{self._model}:{sorted(self._extra_body.items())}"

    @property
    def context(self) -> int:
        return self._context

    async def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None and connection.loop is asyncio.get_running_loop():
            for server in connection.calls.pool.servers:
                await server.client.close()

    async def count_tokens(self, messages: Sequence[Message]) -> int:
        if self._tokenizer is not None:
            tokenizer = await self._tokenizer.get()
            return len(tokenizer.apply_chat_template(list(messages), add_generation_prompt=True)["input_ids"])
        trace.count("prompts_of_estimated_length")
        return sum(
            math.ceil(len(message["content"].encode()) / _BYTES_PER_TOKEN) + _TOKENS_PER_MESSAGE for message in messages
        )

    async def generate(self, messages: Sequence[Message], decoding: Decoding) -> AsyncIterator[str]:
        async with aclosing(self._pieces(messages, decoding)) as pieces:
            async for piece in pieces:
                if piece.text:
                    yield piece.text

    async def complete(self, messages: Sequence[Message], decoding: Decoding) -> Completion:
        import stamina

        again = min(self._limits.retries, _BEGUN_AGAIN)
        async for attempt in stamina.retry_context(on=BrokenOff, attempts=1 + again, timeout=None):
            with attempt:
                trace.count("begun_again", attempt.num - 1)
                pieces = [piece async for piece in self._pieces(messages, decoding)]
        return Completion(
            "".join(piece.text for piece in pieces),
            cut=any(piece.cut for piece in pieces),
            tokens=tuple(token for piece in pieces for token in piece.tokens),
        )

    async def _pieces(self, messages: Sequence[Message], decoding: Decoding) -> AsyncGenerator[_Piece]:
        trace.count("calls")
        calls = self._calls()
        opened = await calls.open(lambda schema: self._request(messages, decoding, schema=schema))
        async with opened.held:
            finish = None
            chunk = opened.first
            while chunk is not None:
                if chunk.usage is not None:
                    trace.count("prompt_tokens", chunk.usage.prompt_tokens)
                    trace.count("completion_tokens", chunk.usage.completion_tokens)
                for choice in chunk.choices[:1]:
                    finish = choice.finish_reason or finish
                    yield _Piece(choice.delta.content or "", _tokens(choice), finish == "length")
                chunk = await calls.next(opened)
            calls.end(opened, finish)
            trace.count("cut_at_max_tokens", int(finish == "length"))

    def _calls(self) -> Calls:
        import openai

        loop = asyncio.get_running_loop()
        if self._connection is None or self._connection.loop is not loop:
            clients = {
                base_url: openai.AsyncOpenAI(
                    base_url=base_url,
                    api_key=os.environ.get(self._api_key_env) or "none",
                    timeout=openai.Timeout(self._limits.timeout, connect=self._connect_timeout),
                    max_retries=0,
                )
                for base_url in self._base_urls
            }
            pool = Pool([Server(base_url, client, self._in_flight) for base_url, client in clients.items()])
            calls = Calls(pool, self._model, self._limits, self._api_key_env)
            self._connection = _Connected(loop, calls)
        return self._connection.calls

    def _request(self, messages: Sequence[Message], decoding: Decoding, *, schema: bool) -> dict[str, Any]:
        request: dict[str, Any] = {
            "model": self._model,
            "messages": list(messages),
            "max_tokens": decoding.max_tokens,
            "temperature": decoding.temperature,
            "top_p": decoding.top_p,
            "stream": True,
            "stream_options": {"include_usage": True},
            "extra_body": dict(self._extra_body),
        }
        if headers := trace.headers():
            request["extra_headers"] = headers
        if decoding.repetition_penalty != 1.0:
            request["extra_body"]["repetition_penalty"] = decoding.repetition_penalty
        if decoding.schema is not None and schema:
            named = {"name": "reply", "strict": True, "schema": dict(decoding.schema)}
            request["response_format"] = {"type": "json_schema", "json_schema": named}
        if decoding.alternatives:
            request |= {"logprobs": True, "top_logprobs": decoding.alternatives}
        return request


def _tokens(choice: Any) -> list[Token]:
    told = choice.logprobs.content if choice.logprobs else None
    return [Token(token.token, {other.token: other.logprob for other in token.top_logprobs}) for token in told or []]


def _checked_urls(base_urls: list[str]) -> list[str]:
    for url in base_urls:
        if not url.startswith(("http://", "https://")):
            raise ConfigError(f"generator kind 'openai': `base_url: {url}` must begin with http:// or https://")
    if not base_urls:
        raise ConfigError("generator kind 'openai': `base_url:` names no server; give one or more")
    return list(dict.fromkeys(url.rstrip("/") for url in base_urls))


def _check(name: str, value: float, *, enough: bool, way_out: str) -> None:
    if not enough:
        raise ConfigError(f"generator kind 'openai': `{name}: {value}` is too small; set it to {way_out}")


def _load_tokenizer(model: str) -> Any:
    from transformers import AutoTokenizer

    folder = locate(STAGE, model, revision=None, model_types=(), weights=False).path
    return AutoTokenizer.from_pretrained(folder)
