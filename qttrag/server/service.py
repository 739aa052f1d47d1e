"""One question over HTTP: admitted, answered within its time, given up when nobody waits for it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, TypeVar

from starlette.requests import Request

from qttrag.server.errors import Refusal
from qttrag.trace import Trace
from qttrag.types import Answer, AskRequest, Event, TaggedPassage, ignore

if TYPE_CHECKING:
    from qttrag.application.application import Application
    from qttrag.config.server_settings import ServerSettings
    from qttrag.server.admission import Admission
    from qttrag.server.metrics import Metrics
    from qttrag.server.tracing import Tracing

T = TypeVar("T")


class OutOfTime(Exception):
    """The time of a request was up. `partial`: what was done by then."""

    def __init__(self, seconds: float, partial: dict[str, Any]) -> None:
        super().__init__(f"not answered within {seconds:g} s; ask with a longer `deadline`, or a smaller `depth`")
        self.partial = partial


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
            OutOfTime: it was not there in time."""
        self.check_ready()
        trace, seen = Trace(spans=self.tracing), _Seen(on_event)
        seconds = self.settings.deadline if request.limits.deadline is None else request.limits.deadline
        async with self.admission.slot():
            try:
                async with asyncio.timeout(seconds):
                    return await self.application.ask(request, on_event=seen, trace=trace)
            except TimeoutError as error:
                done = {"passages": seen.passages, "answer": seen.text, "trace": trace.as_dict()}
                raise OutOfTime(seconds, done) from error
            finally:
                self.metrics.observe(request.strategy or self.application.deployment.strategy, trace)

    @asynccontextmanager
    async def working(self) -> AsyncIterator[Trace]:
        """Hold a slot for work on single stages; yields the trace to report it in."""
        self.check_ready()
        trace = Trace(spans=self.tracing)
        async with self.admission.slot():
            seconds = self.settings.deadline
            try:
                async with asyncio.timeout(seconds):
                    yield trace
            except TimeoutError as error:
                raise OutOfTime(seconds, {"trace": trace.as_dict()}) from error


class _Seen:
    """Keeps what a question's events told, for those who run out of time, and hands them on."""

    def __init__(self, on_event: Callable[[Event], None]) -> None:
        self._on_event = on_event
        self.passages: list[dict[str, Any]] = []
        self.text = ""

    def __call__(self, event: Event) -> None:
        if event.kind == "piece":
            self.text += event.text
        elif event.kind == "again":
            self.text = ""
        else:
            self.passages = [passage_out(n, passage) for n, passage in enumerate(event.passages, 1)]
        self._on_event(event)


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


def passage_out(n: int, tagged: TaggedPassage) -> dict[str, Any]:
    """Return passage `n` as `schemas.PassageOut` has it."""
    fields = asdict(tagged)
    return {"n": n, **fields.pop("passage"), **fields, "flags": list(tagged.flags)}


def answer_out(answer: Answer, request_id: str) -> dict[str, Any]:
    """Return an answer as `schemas.AskResponse` has it."""
    return {
        "question": answer.query.text,
        "lang": answer.lang,
        "strategy": answer.strategy,
        "collections": answer.query.collections,
        "answer": answer.text,
        "abstained": answer.abstained,
        "citations": asdict(answer.citations),
        "language_check": answer.language_check,
        "degraded": answer.degraded,
        "passages": [passage_out(n, passage) for n, passage in enumerate(answer.context, 1)],
        "trace": answer.trace.as_dict(),
        "request_id": request_id,
    }
