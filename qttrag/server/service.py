"""One question over HTTP: admitted, answered, and cancelled when its client disconnects."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine
from contextlib import aclosing, asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any, TypeVar

from sse_starlette import EventSourceResponse, ServerSentEvent
from starlette.requests import Request

from qttrag.application.deadline import deadline
from qttrag.protocols import Startable
from qttrag.server.admission import Admission
from qttrag.server.errors import RequestRejected, request_id
from qttrag.server.metrics import Metrics
from qttrag.server.starting import start_stage
from qttrag.server.tracing import Tracing
from qttrag.trace import Trace
from qttrag.types import Answer, AskLimits, AskRequest, Event, PartialAnswer, ignore

if TYPE_CHECKING:
    from qttrag.application.application import Application
    from qttrag.config.server_settings import ServerSettings

T = TypeVar("T")
_LOG = logging.getLogger("qttrag.server")
_LAST_EVENT_S = 3.0


class Service:
    """What the routes share: the open application, its limits, and the metrics."""

    def __init__(self, application: Application, admission: Admission, metrics: Metrics, tracing: Tracing) -> None:
        self.application = application
        self.admission = admission
        self.metrics = metrics
        self.tracing = tracing
        self.has_streamed_answer = False  # by then a generator knows whether its model begins with reasoning
        self.is_draining = False
        self.cut = asyncio.Event()  # set at the end of the drain: requests in progress end with an error
        self.starting: dict[str, str] = {}  # by stage: "loading", "ready" or "failed"

    @classmethod
    def of(cls, application: Application) -> Service:
        """Return a service of an application, with the limits of its deployment."""
        settings = application.deployment.server
        admission = Admission(settings.in_flight, settings.queue)
        return cls(application, admission, Metrics(admission), Tracing())

    @asynccontextmanager
    async def running(self, *, retriever: Callable[[list[Startable]], Startable] | None = None) -> AsyncIterator[None]:
        """Send traces and load the models while the block runs; close the application at its end.

        `retriever`: given the parts of the retriever, returns what is started in their place."""
        self.tracing.start()
        try:
            async with self.application, asyncio.TaskGroup() as loading:
                startable: dict[str, list[Startable]] = {}
                for name, part in self.application.parts:
                    if isinstance(part, Startable):
                        startable.setdefault(name, []).append(part)
                if retriever is not None:
                    startable["retriever"] = [retriever(startable.get("retriever", []))]
                self.starting.update(dict.fromkeys(startable, "loading"))
                tasks = [loading.create_task(start_stage(name, p, self.starting)) for name, p in startable.items()]
                yield
                for task in tasks:
                    task.cancel()
        finally:
            await asyncio.to_thread(self.tracing.close)

    @property
    def settings(self) -> ServerSettings:
        return self.application.deployment.server

    def check_ready(self) -> None:
        """Raise `RequestRejected` while models load, if one cannot be loaded, and during the shutdown."""
        if self.is_draining:
            raise _shutting_down()
        if not_ready := {stage: state for stage, state in self.starting.items() if state != "ready"}:
            stages = "; ".join(f"{stage}: {state}" for stage, state in not_ready.items())
            raise RequestRejected(503, "not_ready", f"not ready ({stages}); see /readyz", retry_after=5.0)

    def new_trace(self) -> Trace:
        return Trace(spans=self.tracing)

    async def ask(
        self, request: AskRequest, on_event: Callable[[Event], None] = ignore, trace: Trace | None = None
    ) -> Answer:
        """Return the answer. `trace`: a new one, which may have notes.

        Raises:
            RequestRejected: the service is overloaded or not ready.
            DeadlineExceeded: the deadline passed."""
        self.check_ready()
        trace = trace or self.new_trace()
        async with self.admission.slot():
            try:
                return await self.application.ask(request, on_event=on_event, trace=trace)
            finally:
                self.metrics.observe(request.strategy or self.application.deployment.strategy, trace)
                _log_details(trace)

    @asynccontextmanager
    async def working(self) -> AsyncIterator[Trace]:
        """Hold a slot for work on single stages; yields the trace for it."""
        self.check_ready()
        trace = self.new_trace()
        async with self.admission.slot():
            way_out = "send less at once, or raise the service's `deadline:`"
            async with deadline(self.settings.deadline, lambda: PartialAnswer(trace), way_out=way_out):
                try:
                    yield trace
                finally:
                    _log_details(trace)


def _log_details(trace: Trace) -> None:
    """Log the notes of which clients read only a part."""
    for note in trace.notes:
        if note != note.public:
            _LOG.warning("note", extra={"request_id": request_id(), "note": str(note)})


def service_of(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


def limits_of(service: Service, depth: int | None, top_k: int | None) -> AskLimits:
    """Return the limits that a body sets.

    Raises:
        RequestRejected: one exceeds the service's own."""
    settings = service.settings
    for name, value, most in (("depth", depth, settings.max_depth), ("top_k", top_k, settings.max_top_k)):
        if value is not None and value > most:
            raise RequestRejected(422, "too_many", f"`{name}: {value}` exceeds the limit of {most}", param=name)
    return AskLimits(depth=depth, top_k=top_k)


def _shutting_down() -> RequestRejected:
    return RequestRejected(503, "shutting_down", "the service is shutting down; ask again", retry_after=5.0)


async def until_disconnected(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """Return the result of `work`; cancel it when the client disconnects or the drain of the service ends.

    Raises:
        RequestRejected: one of these happened."""
    task = asyncio.ensure_future(work)
    watch = asyncio.ensure_future(_disconnected(request))
    cut = asyncio.ensure_future(service_of(request).cut.wait())
    try:
        await asyncio.wait({task, watch, cut}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done() and cut.done():
            raise _shutting_down()
        if not task.done():
            raise RequestRejected(499, "client_left", "the client disconnected before the answer was ready")
        return task.result()
    finally:
        for pending in (task, watch, cut):
            pending.cancel()
        with suppress(BaseException):
            await task


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def stream_events(
    request: Request, service: Service, asked: AskRequest, trace: Trace | None = None
) -> AsyncIterator[Event | Answer | Exception]:
    """Return the events of a question as they come, then its answer or its error. Closing the iterator cancels it.

    Raises:
        Exception: the question failed before its first event, so that the response can have an error status."""
    events = _events(request, service, asked, trace)
    first = await anext(events)
    if isinstance(first, Exception):
        raise first

    async def all_events() -> AsyncIterator[Event | Answer | Exception]:
        async with aclosing(events):
            yield first
            async for item in events:
                yield item

    return all_events()


async def _events(
    request: Request, service: Service, asked: AskRequest, trace: Trace | None
) -> AsyncGenerator[Event | Answer | Exception]:
    queue: asyncio.Queue[Event | Answer | Exception] = asyncio.Queue()

    async def ask() -> None:
        try:
            queue.put_nowait(await until_disconnected(request, service.ask(asked, queue.put_nowait, trace)))
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


def event_stream(service: Service, events: AsyncIterator[ServerSentEvent]) -> EventSourceResponse:
    """Return the response that sends `events`; after the drain a stream has some seconds to send its last one."""

    async def counted() -> AsyncIterator[ServerSentEvent]:
        with service.metrics.streams.track_inprogress():
            async with aclosing(events):  # type: ignore[type-var]
                async for event in events:
                    yield event

    return EventSourceResponse(counted(), sep="\n", shutdown_grace_period=min(service.settings.drain, _LAST_EVENT_S))
