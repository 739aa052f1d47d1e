"""Language models behind any OpenAI-compatible server: vLLM, llama.cpp, Ollama, hosted APIs."""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Any, Literal

from qttrag import trace
from qttrag.errors import BrokenOff, ConfigError, StageError, unknown
from qttrag.generators.completion_stream import CompletionStream, joined, separated
from qttrag.models.loading import Lazy, locate
from qttrag.openai_client.balancing import Server
from qttrag.openai_client.capabilities import Capabilities, Request
from qttrag.openai_client.client import ModelClient
from qttrag.openai_client.connection import Connection
from qttrag.openai_client.endpoint import CallLimits, Endpoint
from qttrag.openai_client.stream import stream_completion
from qttrag.text.reasoning import ReasoningSeparator
from qttrag.types import Completion, Decoding, Message, Piece

_STAGE = "generator"
_BYTES_PER_TOKEN = 2  # about 4 in English and 2.5 in Korean and Thai, with the tokenizers of current models
_TOKENS_PER_MESSAGE = 16  # a generous estimate of a chat template's role tokens
_RESTARTS = 2  # of a completion that was interrupted


class OpenAIGenerator:
    """Generator kind `openai`.

    `base_url`: one or several servers of the same model; a call goes to the least busy of those that work.
    `api_key_env`: the environment variable that holds the API key; servers without keys need none.
    `context`: tokens that the served model has for prompt and completion. `tokenizer`: a folder or hub name, to count
    tokens exactly; without one the count is an estimate that is not too low.
    `timeout`: read timeout in seconds; `call_timeout`: seconds for a whole call. A call that exceeds either is retried
    at another server only.
    `retries`: after 5xx and while a server cannot be reached. A server that has answered before, or that is
    overloaded (429), is retried for `patience` seconds; with `retries: 0` nothing is retried.
    `in_flight`: calls at once to each server; fewer while it rejects some, while most of them wait in its queue, or
    while it breaks off replies when others arrive. Models at one address share the lowest.
    `extra_body`: further fields of the request, as the server defines them; null removes a field.
    `thinking`: whether a reasoning model may think before it answers, for servers that let a request choose.
    `weights`: the precision in which the servers run the model, where it is not the checkpoint's: "int4" is NF4, as in
    arXiv:2510.23070. A request cannot choose it: `qttrag vllm up` starts its servers with it, and replies of either
    precision are cached apart.
    `accepts`: what the servers accept, true or false by capability (`qttrag doctor --ask` lists them), in place of
    what they say by rejecting requests."""

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
        thinking: bool = False,
        accepts: dict[str, bool] | None = None,
        weights: Literal["checkpoint", "int4"] = "checkpoint",
    ) -> None:
        _check("in_flight", in_flight, valid=in_flight >= 1, remedy="1 or more")
        _check("retries", retries, valid=retries >= 0, remedy="0 or more")
        _check("patience", patience, valid=patience >= 0, remedy="0 or more")
        _check("timeout", timeout, valid=timeout > 0, remedy="a number of seconds above 0")
        _check("connect_timeout", connect_timeout, valid=connect_timeout > 0, remedy="a number of seconds above 0")
        _check("call_timeout", call_timeout, valid=call_timeout > 0, remedy="a number of seconds above 0")
        base_urls = _checked_urls([base_url] if isinstance(base_url, str) else base_url)
        limits = CallLimits(connect_timeout, timeout, call_timeout, patience, retries)
        self._endpoint = Endpoint(
            _STAGE, model, base_urls, api_key_env, in_flight, limits, capabilities=_fixed(accepts or {})
        )
        self._context = context
        self._tokenizer = None if tokenizer is None else Lazy(lambda: _load_tokenizer(tokenizer))
        self._connection = Connection(self._endpoint)
        self._extra_body = extra_body or {}
        self._thinking = thinking
        self._weights = weights
        self._accepts = accepts or {}
        self._opens_reasoning = True  # False: the model's template does, so that only the end of it is in the reply

    @property
    def identity(self) -> str:
        base_urls = ",".join(sorted(self._endpoint.base_urls))
        further = [":thinking"] * self._thinking + [f":{sorted(self._accepts.items())}"] * bool(self._accepts)
        further += [f":{self._weights}"] * (self._weights != "checkpoint")
        return f"openai:{base_urls}:{self._endpoint.model}:{sorted(self._extra_body.items())}{''.join(further)}"

    @property
    def context(self) -> int:
        return self._context

    async def close(self) -> None:
        await self._connection.close()

    async def count_tokens(self, messages: Sequence[Message]) -> int:
        if self._tokenizer is not None:
            tokenizer = await self._tokenizer.get()
            return len(tokenizer.apply_chat_template(list(messages), add_generation_prompt=True)["input_ids"])
        trace.count("prompts_of_estimated_length")
        return sum(
            math.ceil(len(message["content"].encode()) / _BYTES_PER_TOKEN) + _TOKENS_PER_MESSAGE for message in messages
        )

    def generate(self, messages: Sequence[Message], decoding: Decoding) -> CompletionStream:
        return CompletionStream(self._pieces(messages, decoding))

    async def complete(self, messages: Sequence[Message], decoding: Decoding) -> Completion:
        import stamina

        attempts = 1 + min(self._endpoint.limits.retries, _RESTARTS)
        async for attempt in stamina.retry_context(on=BrokenOff, attempts=attempts, timeout=None):
            with attempt:
                trace.count("restarted", attempt.num - 1)
                return await self.generate(messages, decoding).whole()
        raise AssertionError("a retry loop ends by return or error")

    async def _pieces(self, messages: Sequence[Message], decoding: Decoding) -> AsyncGenerator[Piece]:
        trace.count("calls")
        separator = ReasoningSeparator("answer" if self._opens_reasoning else "either")
        async with aclosing(stream_completion(self.client(), self.request(messages, decoding))) as pieces:
            async for piece in separated(pieces, separator, self._note_restart):
                yield piece

    async def complete_at(self, server: Server, request: Request) -> Completion:
        """Return the completion of a request, from one of the client's servers and without retries: for probes.

        Raises:
            StageError: the server did not complete it."""
        async with aclosing(stream_completion(self.client(), request, only=server)) as pieces:
            return joined([piece async for piece in separated(pieces, ReasoningSeparator())])

    def _note_restart(self) -> None:
        self._opens_reasoning = False

    def client(self) -> ModelClient:
        return self._connection.client()

    def request(self, messages: Sequence[Message], decoding: Decoding) -> dict[str, Any]:
        request: dict[str, Any] = {
            "model": self._endpoint.model,
            "messages": list(messages),
            "max_tokens": decoding.max_tokens,
            "temperature": decoding.temperature,
            "top_p": decoding.top_p,
            "stream_options": {"include_usage": True},
            "chat_template_kwargs": {"enable_thinking": self._thinking},
        }
        if headers := trace.headers():
            request["extra_headers"] = headers
        if decoding.repetition_penalty != 1.0:
            request["repetition_penalty"] = decoding.repetition_penalty
        if decoding.quote is not None:
            raise StageError(
                _STAGE,
                "kind 'openai' cannot copy its answers from the passages; set `extractive: false`, or use kind "
                "'transformers' or 'llama_cpp'",
            )
        if decoding.schema is not None:
            json_schema = {"name": "reply", "strict": True, "schema": dict(decoding.schema)}
            request["response_format"] = {"type": "json_schema", "json_schema": json_schema}
        if decoding.alternatives:
            request |= {"logprobs": True, "top_logprobs": decoding.alternatives}
        request |= self._extra_body
        return {name: value for name, value in request.items() if value is not None}


def _fixed(accepts: dict[str, bool]) -> Capabilities:
    for name in accepts:
        if name not in Capabilities.names():
            raise ConfigError(f"generator kind 'openai': {unknown('capability', name, Capabilities.names())}")
    return Capabilities(**accepts, fixed=frozenset(accepts))


def _checked_urls(base_urls: list[str]) -> tuple[str, ...]:
    for url in base_urls:
        if not url.startswith(("http://", "https://")):
            raise ConfigError(f"generator kind 'openai': `base_url: {url}` must begin with http:// or https://")
    if not base_urls:
        raise ConfigError("generator kind 'openai': `base_url:` names no server; give one or more")
    return tuple(dict.fromkeys(url.rstrip("/") for url in base_urls))


def _check(name: str, value: float, *, valid: bool, remedy: str) -> None:
    if not valid:
        raise ConfigError(f"generator kind 'openai': `{name}: {value}` is too small; set it to {remedy}")


def _load_tokenizer(model: str) -> Any:
    from transformers import AutoTokenizer

    folder = locate(_STAGE, model, revision=None, model_types=(), weights=False).path
    return AutoTokenizer.from_pretrained(folder)
