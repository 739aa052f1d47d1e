"""Makes one call to one of a model's servers, with retries and a deadline."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar

from qttrag import trace
from qttrag.errors import StageError, StageUnavailable
from qttrag.openai_client.balancing import Server, ServerPool
from qttrag.openai_client.capabilities import Learnt, Request
from qttrag.openai_client.endpoint import Endpoint
from qttrag.openai_client.errors import ServerErrors, has_no_quota, is_down, refusal, retry_after

if TYPE_CHECKING:
    import openai

T = TypeVar("T")
Send = Callable[["openai.AsyncOpenAI", Request, AsyncExitStack], Awaitable[T]]
"""Sends a request and returns the reply, or the beginning of it; what has to be closed goes on the stack."""

logging.getLogger("stamina").addHandler(logging.NullHandler())  # retries are counted, not logged one by one
_RECONNECT_S = 0.1  # between attempts at a server that is down; its circuit breaker limits them


class Call(NamedTuple, Generic[T]):
    """A call in progress. `deadline`: of the whole call, in the event loop's time; None: no limit."""

    server: Server
    reply: T
    deadline: float | None


class ModelClient:
    """Calls the servers of one model. It belongs to the event loop that creates it."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self.servers = [
            Server(url, endpoint.connect(url), endpoint.in_flight, endpoint.capabilities) for url in endpoint.base_urls
        ]
        self._pool = ServerPool(self.servers, stage=endpoint.stage)

    async def close(self) -> None:
        for server in self.servers:
            await server.client.close()

    @asynccontextmanager
    async def call(self, request: Request, send: Send[T], *, only: Server | None = None) -> AsyncIterator[Call[T]]:
        """Send a request and hold its place at the server until the block ends. Nothing in the block is retried.

        `only`: use this server, and do not retry.

        Raises:
            StageError: no server replied, or one rejected the request."""
        async with AsyncExitStack() as held:
            call = await self._begun(request, send, held, only)
            yield call
            call.server.concurrency.grow()

    def errors(self, server: Server) -> ServerErrors:
        return ServerErrors(self.endpoint, server.base_url)

    async def _begun(self, request: Request, send: Send[T], held: AsyncExitStack, only: Server | None) -> Call[T]:
        import stamina

        pool = self._pool if only is None else ServerPool([only], stage=self.endpoint.stage)
        attempts = _Attempts(pool, self.endpoint, retries=0 if only else self.endpoint.limits.retries)
        async for attempt in stamina.retry_context(on=attempts.may_retry, attempts=None, timeout=None):
            with attempt:
                trace.count("retried", int(attempt.num > 1))
                return await self._sent(request, send, held, attempts)
        raise AssertionError("a retry loop ends by return or error")

    async def _sent(self, request: Request, send: Send[T], held: AsyncExitStack, attempts: _Attempts) -> Call[T]:
        async with AsyncExitStack() as place:
            server = await place.enter_async_context(attempts.pool.reserve(until=attempts.until, avoid=attempts.last))
            attempts.record(server)
            await server.adapt_to_queue()
            call_timeout = self.endpoint.limits.call_timeout
            deadline = None if call_timeout is None else asyncio.get_running_loop().time() + call_timeout
            try:
                async with asyncio.timeout_at(deadline):
                    reply = await _accepted(server, request, send, place)
            except Exception as error:
                raise await self._failed(server, error) from error
            server.breaker.succeeded()
            held.push_async_exit(place.pop_all())
            return Call(server, reply, deadline)

    async def _failed(self, server: Server, error: Exception) -> StageError:
        """Return the error of a call and record it for the server's next calls."""
        import openai

        if isinstance(error, openai.NotFoundError):
            return self.errors(server).unknown_model(await self._served_models(server), error)
        explained = self.errors(server).explain(error)
        if isinstance(error, openai.RateLimitError) and not has_no_quota(error):
            server.concurrency.shrink(0.5)
        elif isinstance(explained, StageUnavailable):
            server.breaker.failed()
        return explained

    async def _served_models(self, server: Server) -> list[str]:
        try:
            listed = await server.client.models.list(timeout=self.endpoint.limits.read_timeout)
            return [model.id for model in listed.data]
        except Exception:  # only the first error is reported
            return []


async def _accepted(server: Server, request: Request, send: Send[T], held: AsyncExitStack) -> T:
    """Send a request and return the reply; what the server rejects is left out, now and in later requests."""
    suspected: tuple[Learnt, Exception] | None = None
    while True:
        capabilities = suspected[0].capabilities if suspected else server.capabilities
        adapted = capabilities.adapt(request)
        try:
            async with AsyncExitStack() as opened:
                reply = await send(server.client, adapted, opened)
                held.push_async_exit(opened.pop_all())
        except Exception as error:
            if suspected:
                raise suspected[1] from None  # the suspicion was wrong
            reason = refusal(error)
            may_suspect = getattr(error, "status_code", 500) != 500  # which may have any cause
            learnt = None if reason is None else server.capabilities.learn(adapted, reason, may_suspect=may_suspect)
            if learnt is None:
                raise
            if learnt.is_certain:
                _remember(server, learnt)
            else:
                suspected = (learnt, error)
        else:
            if suspected:
                _remember(server, suspected[0])
            return reply


def _remember(server: Server, learnt: Learnt) -> None:
    server.capabilities = learnt.capabilities
    trace.note("a model server does not accept a part of the requests", details=f"{server.base_url} {learnt.note}")


class _Attempts:
    """The attempts of one call. `until`: monotonic time of the end of patience. `last`: the server of the last one."""

    def __init__(self, pool: ServerPool, endpoint: Endpoint, *, retries: int) -> None:
        self.pool = pool
        self.until = time.monotonic() + (endpoint.limits.patience if retries else 0.0)
        self.last: Server | None = None
        self._retries_left = retries

    def record(self, server: Server) -> None:
        if self.last not in (None, server):
            details = f"{server.base_url} took over from {self.last.base_url}"
            trace.note("a server took over from one that failed", details=details)
        self.last = server

    def may_retry(self, error: Exception) -> bool | float:
        """Return whether to retry; a number: after so many seconds."""
        import openai

        cause = error.__cause__
        if not isinstance(error, StageUnavailable) or cause is None or self.last is None:
            return False
        is_patient = time.monotonic() < self.until
        if isinstance(cause, openai.RateLimitError):
            seconds = retry_after(cause)
            return is_patient if seconds is None or not is_patient else seconds
        has_other = any(server is not self.last for server in self.pool.available())
        if is_down(cause) and self.last.breaker.has_succeeded:
            return is_patient and (0.0 if has_other else _RECONNECT_S)
        self._retries_left -= 1
        if self._retries_left < 0 or (isinstance(cause, TimeoutError | openai.APITimeoutError) and not has_other):
            return False
        return 0.0 if has_other else True
