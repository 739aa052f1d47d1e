"""One call to one of a model's servers: finding a place, asking again where it helps, reading what comes."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from typing import Any, NamedTuple

from qttrag import trace
from qttrag.errors import BrokenOff, StageError, StageUnavailable
from qttrag.openai_client.balancing import Pool, Server
from qttrag.openai_client.errors import STAGE, broken_off, explain, is_about_schema, is_down, retry_after

logging.getLogger("stamina").addHandler(logging.NullHandler())  # retries are counted; not a line each on the terminal
_ASK_AGAIN_S = 0.1  # of a server that is down: its breaker says when
_NO_END = ("abort", "error")  # finish reasons of vLLM and others that mean: stopped, not finished


class Limits(NamedTuple):
    """What a call may take: seconds without a byte, seconds in all, seconds of trying, times of trying."""

    timeout: float
    call_timeout: float
    patience: float
    retries: int


class Opened(NamedTuple):
    """A stream and its first chunk, which has arrived, with the call's place at the server. `deadline`: loop time."""

    server: Server
    stream: Any
    first: Any
    held: AsyncExitStack
    deadline: float


class Calls:
    """Makes calls. A request is made for a server by `request`, told whether it takes a JSON schema."""

    def __init__(self, pool: Pool, model: str, limits: Limits, api_key_env: str) -> None:
        self.pool = pool
        self._model = model
        self._limits = limits
        self._api_key_env = api_key_env

    async def open(self, request: Callable[[bool], Mapping[str, Any]]) -> Opened:
        """Return a stream that has begun; from here on nothing is asked twice.

        Raises:
            StageError: no server has begun one."""
        import stamina

        tries = _Tries(self.pool, self._limits)
        async for attempt in stamina.retry_context(on=tries.may_go_on, attempts=None, timeout=None):
            with attempt:
                trace.count("retried", int(attempt.num > 1))
                return await self._first(request, tries)
        raise AssertionError("a retry loop ends by return or error")

    async def next(self, opened: Opened) -> Any:
        """Return the next chunk, None after the last.

        Raises:
            BrokenOff: there was to be more.
            StageUnavailable: the call has taken too long."""
        try:
            async with asyncio.timeout_at(opened.deadline):
                return await anext(aiter(opened.stream), None)
        except TimeoutError as error:
            raise self._too_long(opened.server) from error
        except Exception as error:
            opened.server.breaker.failed()
            raise broken_off(error, at=self._at(opened.server)) from error

    def end(self, opened: Opened, finish: str | None) -> None:
        """Take note that a stream has ended with the reason `finish`.

        Raises:
            BrokenOff: it stopped before its end.
            StageError: it was no completion."""
        at = self._at(opened.server)
        if opened.first is None:
            raise StageError(
                STAGE,
                f"{at} ended its reply before it was complete{_content_type(opened.stream)}; "
                "check that it is an OpenAI-compatible server and still running",
            )
        if finish is None or finish in _NO_END:
            raise BrokenOff(STAGE, f"{at} ended its reply before it was complete; check that it is still running")
        if finish == "content_filter":
            raise StageError(STAGE, f"{at} withheld its reply (content_filter); ask another model")
        opened.server.slots.went_well()

    async def _first(self, request: Callable[[bool], Mapping[str, Any]], tries: _Tries) -> Opened:
        import openai

        async with AsyncExitStack() as held:
            server = await held.enter_async_context(self.pool.server(until=tries.until, but=tries.last))
            tries.now_at(server)
            await server.look()
            schema = not server.refuses_schema
            deadline = asyncio.get_running_loop().time() + self._limits.call_timeout
            try:
                async with asyncio.timeout_at(deadline):
                    stream = await server.client.chat.completions.create(**request(schema))
                    held.push_async_callback(stream.close)
                    first = await anext(aiter(stream), None)
            except openai.BadRequestError as error:
                if not schema or "response_format" not in request(schema) or not is_about_schema(error):
                    raise await self._failed(server, error) from error
                server.refuses_schema = True
                trace.note(f"{server.base_url} takes no JSON schema; replies follow the prompt alone")
            except Exception as error:
                raise await self._failed(server, error) from error
            else:
                server.breaker.succeeded()
                return Opened(server, stream, first, held.pop_all(), deadline)
        return await self._first(request, tries)

    async def _failed(self, server: Server, error: Exception) -> StageError:
        """Return what went wrong in words, and take note of it for the next calls."""
        import openai

        if isinstance(error, TimeoutError):
            server.breaker.failed()
            return self._too_long(server)
        if isinstance(error, openai.NotFoundError):
            told = await self._served(server)
            return StageError(STAGE, f"{self._at(server)} does not have this model or path; {told}")
        found = explain(error, at=self._at(server), timeout=self._limits.timeout, api_key_env=self._api_key_env)
        if isinstance(error, openai.RateLimitError):
            server.slots.shrink(0.5)
        elif isinstance(found, StageUnavailable):
            server.breaker.failed()
        return found

    def _at(self, server: Server) -> str:
        return f"{server.base_url} (model {self._model})"

    def _too_long(self, server: Server) -> StageUnavailable:
        words = f"was not done after {self._limits.call_timeout:g} s; raise `call_timeout:` or look at its load"
        return StageUnavailable(STAGE, f"{self._at(server)} {words}")

    async def _served(self, server: Server) -> str:
        try:
            listed = await server.client.models.list(timeout=self._limits.timeout)
            return f"it serves: {', '.join(model.id for model in listed.data)}"
        except Exception:  # whatever is wrong there, the first error is the one to tell
            return "correct `model:` or `base_url:` (usually ending in /v1)"


class _Tries:
    """What one call may still try. `until`: monotonic time. `last`: the server that was asked last."""

    def __init__(self, pool: Pool, limits: Limits) -> None:
        self.until = time.monotonic() + (limits.patience if limits.retries else 0.0)
        self.last: Server | None = None
        self._pool = pool
        self._left = limits.retries

    def now_at(self, server: Server) -> None:
        if self.last not in (None, server):
            trace.note(f"{server.base_url} was asked in place of a server that failed: {self.last.base_url}")
        self.last = server

    def may_go_on(self, error: Exception) -> bool | float:
        """Return whether asking again may help, or after how many seconds."""
        import openai

        cause = error.__cause__
        if not isinstance(error, StageUnavailable) or cause is None or self.last is None:
            return False
        patient = time.monotonic() < self.until
        if isinstance(cause, openai.RateLimitError):
            after = retry_after(cause)
            return patient if after is None or not patient else after
        elsewhere = any(server is not self.last for server in self._pool.serving())
        if is_down(cause) and self.last.breaker.has_worked:
            return patient and (0.0 if elsewhere else _ASK_AGAIN_S)
        self._left -= 1
        if self._left < 0 or (isinstance(cause, TimeoutError | openai.APITimeoutError) and not elsewhere):
            return False
        return 0.0 if elsewhere else True


def _content_type(stream: Any) -> str:
    found = stream.response.headers.get("content-type", "")
    return f" (it sent {found})" if found and "event-stream" not in found else ""
