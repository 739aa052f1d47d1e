"""Language models behind any OpenAI-compatible server: vLLM, llama.cpp, Ollama, hosted APIs."""

from __future__ import annotations

import asyncio
import math
import os
from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from qttrag import trace
from qttrag.errors import ConfigError, StageError, StageUnavailable
from qttrag.loading import Lazy, locate
from qttrag.types import Decoding, Message

if TYPE_CHECKING:
    import openai

_STAGE = "generator"
_BYTES_PER_TOKEN = 2  # English has some 4, Korean and Thai some 2.5 in the tokenizers of current models
_TOKENS_PER_MESSAGE = 16  # role tokens of chat templates, generously


class _Connected(NamedTuple):
    """A client and the calls it may have in flight; both belong to one event loop."""

    loop: asyncio.AbstractEventLoop
    client: openai.AsyncOpenAI
    slots: asyncio.Semaphore


class _Opened(NamedTuple):
    """A stream and its first chunk, which has arrived: from here on nothing is asked twice."""

    stream: Any
    first: Any


class OpenAIGenerator:
    """Generator kind `openai`.

    `api_key_env` names the environment variable that holds the key; servers without keys need none.
    `context`: tokens the served model has for prompt and completion. `tokenizer`: a folder or hub name, to count
    tokens exactly; without one the count is an estimate on the safe side. `timeout`: seconds without a byte.
    `retries`: after connection errors, time-outs, 429 and 5xx, and only while no piece has come.
    `extra_body`: further fields of the request, as the server defines them."""

    def __init__(
        self,
        model: str,
        *,
        base_url: str,
        api_key_env: str = "OPENAI_API_KEY",
        context: int = 8192,
        tokenizer: str | None = None,
        timeout: float = 60.0,
        connect_timeout: float = 5.0,
        retries: int = 3,
        in_flight: int = 64,
        extra_body: dict[str, Any] | None = None,
    ) -> None:
        if not base_url.startswith(("http://", "https://")):
            raise ConfigError(f"generator kind 'openai': `base_url: {base_url}` must begin with http:// or https://")
        _check("in_flight", in_flight, enough=in_flight >= 1, way_out="1 or more")
        _check("retries", retries, enough=retries >= 0, way_out="0 or more")
        _check("timeout", timeout, enough=timeout > 0, way_out="a number of seconds above 0")
        _check("connect_timeout", connect_timeout, enough=connect_timeout > 0, way_out="a number of seconds above 0")
        self._model = model
        self._base_url = base_url.rstrip("/")
        self._api_key_env = api_key_env
        self._context = context
        self._tokenizer = None if tokenizer is None else Lazy(lambda: _load_tokenizer(tokenizer))
        self._timeout = timeout
        self._connect_timeout = connect_timeout
        self._retries = retries
        self._in_flight = in_flight
        self._connection: _Connected | None = None
        self._extra_body = extra_body or {}
        self._refuses_schema = False

    @property
    def identity(self) -> str:
        return f"openai:{self._base_url}:{self._model}:{sorted(self._extra_body.items())}"

    @property
    def context(self) -> int:
        return self._context

    async def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None and connection.loop is asyncio.get_running_loop():
            await connection.client.close()

    async def count_tokens(self, messages: Sequence[Message]) -> int:
        if self._tokenizer is not None:
            tokenizer = await self._tokenizer.get()
            return len(tokenizer.apply_chat_template(list(messages), add_generation_prompt=True)["input_ids"])
        trace.count("prompts_of_estimated_length")
        return sum(
            math.ceil(len(message["content"].encode()) / _BYTES_PER_TOKEN) + _TOKENS_PER_MESSAGE for message in messages
        )

    async def generate(self, messages: Sequence[Message], decoding: Decoding) -> AsyncIterator[str]:
        async with self._connected().slots:
            trace.count("calls")
            opened = await self._open(messages, decoding)
            try:
                async for piece in self._pieces(opened):
                    yield piece
            finally:
                await opened.stream.close()

    def _connected(self) -> _Connected:
        import openai

        loop = asyncio.get_running_loop()
        if self._connection is None or self._connection.loop is not loop:
            client = openai.AsyncOpenAI(
                base_url=self._base_url,
                api_key=os.environ.get(self._api_key_env) or "none",
                timeout=openai.Timeout(self._timeout, connect=self._connect_timeout),
                max_retries=0,
            )
            self._connection = _Connected(loop, client, asyncio.Semaphore(self._in_flight))
        return self._connection

    async def _open(self, messages: Sequence[Message], decoding: Decoding) -> _Opened:
        import openai
        import stamina

        try:
            async for attempt in stamina.retry_context(on=_may_pass, attempts=self._retries + 1, timeout=None):
                with attempt:
                    return await self._first(messages, decoding)
        except openai.BadRequestError as error:
            if decoding.schema is None or self._refuses_schema or not _is_about_schema(error):
                raise await self._explain(error) from error
            self._refuses_schema = True
            trace.note(f"{self._base_url} takes no JSON schema; replies follow the prompt alone")
            return await self._open(messages, decoding)
        except Exception as error:
            raise await self._explain(error) from error
        raise AssertionError("a retry loop ends by return or error")

    async def _first(self, messages: Sequence[Message], decoding: Decoding) -> _Opened:
        stream = await self._connected().client.chat.completions.create(**self._request(messages, decoding))
        try:
            return _Opened(stream, await anext(aiter(stream), None))
        except BaseException:
            await stream.close()
            raise

    def _request(self, messages: Sequence[Message], decoding: Decoding) -> dict[str, Any]:
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
        if decoding.repetition_penalty != 1.0:
            request["extra_body"]["repetition_penalty"] = decoding.repetition_penalty
        if decoding.schema is not None and not self._refuses_schema:
            named = {"name": "reply", "strict": True, "schema": dict(decoding.schema)}
            request["response_format"] = {"type": "json_schema", "json_schema": named}
        return request

    async def _pieces(self, opened: _Opened) -> AsyncIterator[str]:
        finish_reason = None
        try:
            chunk = opened.first
            while chunk is not None:
                if chunk.usage is not None:
                    trace.count("prompt_tokens", chunk.usage.prompt_tokens)
                    trace.count("completion_tokens", chunk.usage.completion_tokens)
                for choice in chunk.choices[:1]:
                    finish_reason = choice.finish_reason or finish_reason
                    if choice.delta.content:
                        yield choice.delta.content
                chunk = await anext(aiter(opened.stream), None)
        except StageError:
            raise
        except Exception as error:
            raise await self._explain(error) from error
        if finish_reason is None:
            raise StageError(
                _STAGE,
                f"{self._base_url} ended its reply before it was complete"
                f"{_content_type(opened.stream)}; check that it is an OpenAI-compatible server and still running",
            )
        trace.count("cut_at_max_tokens", int(finish_reason == "length"))

    async def _explain(self, error: Exception) -> StageError:
        """Return what went wrong in words that name the server and the way out."""
        import openai

        at = f"{self._base_url} (model {self._model})"
        words = " ".join(str(error).split())[:200]
        match error:
            case openai.APITimeoutError():
                return StageUnavailable(
                    _STAGE, f"{at} gave no byte for {self._timeout:g} s; raise `timeout:` or look at its load"
                )
            case openai.APIConnectionError():
                return StageUnavailable(_STAGE, f"{at} cannot be reached ({words}); start it or correct `base_url:`")
            case openai.AuthenticationError() | openai.PermissionDeniedError():
                return StageError(_STAGE, f"{at} refused the key; set the environment variable {self._api_key_env}")
            case openai.NotFoundError():
                return StageError(_STAGE, f"{at} does not have this model or path; {await self._served()}")
            case openai.RateLimitError():
                return StageUnavailable(_STAGE, f"{at} is overloaded (HTTP 429); lower `in_flight:` or wait")
            case openai.InternalServerError():
                return StageUnavailable(_STAGE, f"{at} failed (HTTP {error.status_code}): {words}; look at its log")
            case openai.APIStatusError():
                return StageError(_STAGE, f"{at} refused the request (HTTP {error.status_code}): {words}")
        return StageError(_STAGE, f"{at} sent a reply that cannot be read ({type(error).__name__}: {words})")

    async def _served(self) -> str:
        try:
            listed = await self._connected().client.models.list(timeout=self._connect_timeout)
            return f"it serves: {', '.join(model.id for model in listed.data)}"
        except Exception:  # whatever is wrong there, the first error is the one to tell
            return "correct `model:` or `base_url:` (usually ending in /v1)"


def _check(name: str, value: float, *, enough: bool, way_out: str) -> None:
    if not enough:
        raise ConfigError(f"generator kind 'openai': `{name}: {value}` is too small; set it to {way_out}")


def _may_pass(error: Exception) -> bool | float:
    """Return whether asking again may help, or after how many seconds the server says so."""
    import openai

    if isinstance(error, openai.RateLimitError | openai.InternalServerError):
        after = error.response.headers.get("retry-after", "")
        return min(float(after), 30.0) if after.replace(".", "", 1).isdigit() else True
    return isinstance(error, openai.APIConnectionError)


def _is_about_schema(error: openai.BadRequestError) -> bool:
    words = str(error).lower()
    return any(word in words for word in ("response_format", "json_schema", "schema", "structured", "grammar"))


def _content_type(stream: Any) -> str:
    found = stream.response.headers.get("content-type", "")
    return f" (it sent {found})" if found and "event-stream" not in found else ""


def _load_tokenizer(model: str) -> Any:
    from transformers import AutoTokenizer

    folder = locate(_STAGE, model, revision=None, model_types=(), weights=False).path
    return AutoTokenizer.from_pretrained(folder)
