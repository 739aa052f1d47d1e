"""One question over HTTP: admitted, answered within its time, given up when nobody waits for it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import aclosing, asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any, TypeVar

from starlette.requests import Request

from qttrag.application.deadline import deadline
from qttrag.server.errors import Refusal
from qttrag.trace import Trace
from qttrag.types import Answer, AskRequest, Event, PartialAnswer, ignore

if TYPE_CHECKING:
    from qttrag.application.application import Application
    from qttrag.config.server_settings import ServerSettings
    from qttrag.server.admission import Admission
    from qttrag.server.metrics import Metrics
    from qttrag.server.tracing import Tracing

T = TypeVar("T")


class Service:
    """What the routes share: the open application, its limits, and what is counted."""

    def __init__(self, application: Application, admission: Admission, metrics: Metrics, tracing: Tracing) -> None:
        self.application = application
        self.admission = admission
        self.metrics = metrics
        self.tracing = tracing
        self.starting: dict[str, str] = {}  # by stage: "loading", "ready", or what is wrong

    @property
    def settings(self) -> ServerSettings:
        return self.application.deployment.server

    def check_ready(self) -> None:
        """Raise `Refusal` while models load, or where one cannot be loaded."""
        if bad := {stage: state for stage, state in self.starting.items() if state != "ready"}:
            stages = "; ".join(f"{stage}: {state}" for stage, state in bad.items())
            raise Refusal(503, "not_ready", f"not ready ({stages}); see /readyz", retry_after=5.0)

    async def ask(self, request: AskRequest, on_event: Callable[[Event], None] = ignore) -> Answer:
        """Return the answer.

        Raises:
            Refusal: there is no room for it, or the service is not ready.
            DeadlineExceeded: its deadline passed."""
        self.check_ready()
        trace = Trace(spans=self.tracing)
        async with self.admission.slot():
            try:
                return await self.application.ask(request, on_event=on_event, trace=trace)
            finally:
                self.metrics.observe(request.strategy or self.application.deployment.strategy, trace)

    @asynccontextmanager
    async def working(self) -> AsyncIterator[Trace]:
        """Hold a slot for work on single stages; yields the trace to report it in."""
        self.check_ready()
        trace = Trace(spans=self.tracing)
        async with self.admission.slot():
            way_out = "send less at once, or raise the service's `deadline:`"
            async with deadline(self.settings.deadline, lambda: PartialAnswer(trace), way_out=way_out):
                yield trace


async def while_there(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """Return what `work` gives; cancel it when the client leaves.

    Raises:
        Refusal: it left."""
    task = asyncio.ensure_future(work)
    watch = asyncio.ensure_future(_gone(request))
    try:
        await asyncio.wait({task, watch}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise Refusal(499, "client_left", "the client left before the answer was there")
        return task.result()
    finally:
        for each in (task, watch):
            each.cancel()
        with suppress(BaseException):
            await task


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def events(request: Request, service: Service, asked: AskRequest) -> AsyncIterator[Event | Answer | Exception]:
    """Yield the events of a question as they come, then its answer or what went wrong; left early, give it up."""
    queue: asyncio.Queue[Event | Answer | Exception] = asyncio.Queue()

    async def ask() -> None:
        try:
            queue.put_nowait(await while_there(request, service.ask(asked, queue.put_nowait)))
        except Exception as error:
            queue.put_nowait(error)

    task = asyncio.ensure_future(ask())
    try:
        while True:
            item = await queue.get()
            yield item
            if not isinstance(item, Event):
                return
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def first_and_rest(
    stream: AsyncIterator[T],
) -> tuple[T, AsyncIterator[T]]:
    """Return the first item, and all of them: what goes wrong at once can still be told by a status."""
    first = await anext(stream)

    async def everything() -> AsyncIterator[T]:
        async with aclosing(stream):  # type: ignore[type-var]
            yield first
            async for item in stream:
                yield item

    return first, everything()
