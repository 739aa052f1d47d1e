"""`/v1/ask`: one question, answered at once or streamed."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

from fastapi import APIRouter, Request
from sse_starlette import ServerSentEvent

from qttrag.application.serialization import answer_as_dict, passages_as_dicts
from qttrag.server import schemas
from qttrag.server.chat_request import Turn, select_turns
from qttrag.server.errors import STATUSES, request_id, response_to
from qttrag.server.json_bodies import JSONRoute
from qttrag.server.service import Service, event_stream, limits_of, service_of, stream_events, until_disconnected
from qttrag.trace import Trace
from qttrag.types import Answer, AskRequest, Event

STREAMED: dict[int | str, dict[str, Any]] = {200: {"content": {"text/event-stream": {}}}}
router = APIRouter(prefix="/v1", route_class=JSONRoute, responses=STATUSES)


@router.post("/ask", response_model=schemas.AskResponse, responses=STREAMED)
async def ask(request: Request, body: schemas.AskBody) -> Any:
    """Answer a question. With `stream`: server-sent events `ranked`, `translated`, `tagged`, `refined` (passages so
    far), `piece` (text of the answer), `restarted` (discard the pieces: the answer begins again), then `end` (the whole
    answer) or `error`."""
    service = service_of(request)
    asked, trace = ask_request(service, body)
    if not body.stream:
        return _answer_body(await until_disconnected(request, service.ask(asked, trace=trace)))
    return event_stream(service, _events(await stream_events(request, service, asked, trace)))


async def _events(stream: AsyncIterator[Event | Answer | Exception]) -> AsyncIterator[ServerSentEvent]:
    async for item in stream:
        match item:
            case Event(kind="piece"):
                yield sse({"text": item.text}, "piece")
            case Event(kind="restarted"):
                yield sse({"reason": item.text}, "restarted")
            case Event():
                yield sse({"passages": passages_as_dicts(item.passages)}, item.kind)
            case Answer():
                yield sse(_answer_body(item), "end")
            case _:
                yield sse(response_to(item).body, "error")


def sse(data: Any, event: str | None = None) -> ServerSentEvent:
    """Return one server-sent event whose data is JSON."""
    return ServerSentEvent(json.dumps(data, ensure_ascii=False), event=event, sep="\n")


def _answer_body(answer: Answer) -> dict[str, Any]:
    return {**answer_as_dict(answer), "request_id": request_id()}


def ask_request(service: Service, body: schemas.AskBody) -> tuple[AskRequest, Trace]:
    """Return the question of a body, within the limits of the service, and a trace that notes which earlier turns are
    left out.

    Raises:
        RequestRejected, InputError: a value is not allowed."""
    longest, trace = service.settings.deadline, service.new_trace()
    turns = [Turn(role=turn.role, content=turn.content) for turn in body.earlier]
    earlier, notes = select_turns(turns, service.settings)
    trace.notes += notes
    return AskRequest(
        body.question,
        lang=body.lang,
        strategy=body.strategy,
        options=body.options,
        collections=service.application.check_collections(body.collections),
        answer_style=body.answer_style,
        limits=replace(
            limits_of(service, body.depth, body.top_k),
            deadline=longest if body.deadline is None else min(body.deadline, longest),
        ),
        earlier=earlier,
    ), trace
