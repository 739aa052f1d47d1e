"""qttrag as a model for OpenAI's clients: `/v1/chat/completions` and `/v1/models`. Strategies are the models."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request
from sse_starlette import ServerSentEvent

from qttrag.application import registry
from qttrag.application.serialization import answer_as_dict
from qttrag.errors import unknown
from qttrag.server.chat_request import NAMES, Chat, ChatRequest, answer_tokens, read_chat
from qttrag.server.chat_tasks import answer_task, is_task
from qttrag.server.errors import STATUSES, ErrorBody, RequestRejected, request_id, response_to
from qttrag.server.json_bodies import JSONRoute
from qttrag.server.routes.ask import STREAMED, sse
from qttrag.server.service import Service, event_stream, service_of, stream_events, until_disconnected
from qttrag.trace import Trace, usage_is_known
from qttrag.types import Answer, AskLimits, AskRequest, Event

router = APIRouter(
    prefix="/v1",
    route_class=JSONRoute,
    responses={**STATUSES, 404: {"model": ErrorBody, "description": "No such model"}},
)
_STARTED = int(time.time())


@router.get("/models")
async def models() -> dict[str, Any]:
    """List the strategies as models."""
    return {"object": "list", "data": [_model(name) for name in sorted(registry.kinds("strategy"))]}


@router.get("/models/{name}")
async def model(name: Annotated[str, Path(json_schema_extra={"enum": NAMES})]) -> dict[str, Any]:
    """Return one strategy as a model."""
    _check_model(name)
    return _model(name)


def _model(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": _STARTED, "owned_by": "qttrag"}


def _check_model(name: str) -> None:
    known = registry.kinds("strategy")
    if name not in known:
        raise RequestRejected(404, "model_not_found", unknown("model", name, known), param="model")


@router.post("/completions", include_in_schema=False)
async def completions() -> None:
    """Direct clients of the older API to chats."""
    raise RequestRejected(404, "not_found", "there is no /v1/completions; send chats to /v1/chat/completions")


@router.post("/chat/completions", responses=STREAMED)
async def chat(request: Request, body: ChatRequest) -> Any:
    """Answer the user's last question in a chat. Earlier turns are used to understand it; later ones are ignored."""
    service = service_of(request)
    service.check_ready()
    _check_model(body.model)
    chat = read_chat(body, service.settings)
    if is_task(chat.question):
        return await _task(request, service, body, chat.question)
    asked, trace = _request(service, body, chat)
    if not body.stream:
        answer = await until_disconnected(request, service.ask(asked, trace=trace))
        passages = {**answer_as_dict(answer), "request_id": request_id()}
        return {**_completion(body, answer.text, answer.finish_reason, answer.trace), "qttrag": passages}
    return event_stream(service, _chunks(service, await stream_events(request, service, asked, trace), body))


def _completion(body: ChatRequest, text: str, finish: str, trace: Trace) -> dict[str, Any]:
    message = {"role": "assistant", "content": text}
    choices = [{"index": 0, "message": message, "finish_reason": finish}]
    return {**_head(body.model, "chat.completion"), "choices": choices, "usage": _usage(trace)}


async def _task(request: Request, service: Service, body: ChatRequest, prompt: str) -> Any:
    """Answer a request of a chat front end for itself, whole or as a stream of one piece."""
    most = service.application.stages.answer_tokens
    tokens = min(answer_tokens(body) or most, most)
    completion, trace = await until_disconnected(request, answer_task(service, prompt, tokens))
    finish = "length" if completion.cut else "stop"
    if not body.stream:
        return _completion(body, completion.text, finish, trace)
    head = _head(body.model, "chat.completion.chunk")

    async def chunks() -> AsyncIterator[ServerSentEvent]:
        for delta, reason in (({"role": "assistant", "content": completion.text}, None), ({}, finish)):
            yield sse({**head, "choices": [{"index": 0, "delta": delta, "finish_reason": reason}]})
        if body.includes_usage:
            yield sse({**head, "choices": [], "usage": _usage(trace)})
        yield ServerSentEvent("[DONE]", sep="\n")

    return event_stream(service, chunks())


def _request(service: Service, body: ChatRequest, chat: Chat) -> tuple[AskRequest, Trace]:
    """Return the question to ask, and a trace that notes which earlier turns are left out."""
    trace = service.new_trace()
    trace.notes += chat.notes
    tokens, most = answer_tokens(body), service.application.stages.answer_tokens
    limits = AskLimits(answer_tokens=None if tokens is None else min(tokens, most), deadline=service.settings.deadline)
    collections = service.application.check_collections(body.collections)
    return AskRequest(
        chat.question,
        lang=body.lang,
        strategy=body.model,
        collections=collections,
        limits=limits,
        earlier=chat.earlier,
    ), trace


async def _chunks(
    service: Service, stream: AsyncIterator[Event | Answer | Exception], body: ChatRequest
) -> AsyncIterator[ServerSentEvent]:
    """Yield the answer as it streams; as a whole if it may still be replaced, as sent text cannot be recalled."""
    head = _head(body.model, "chat.completion.chunk")
    guard, sent = service.application.stages.guard, False
    held = (guard is not None and guard.repairs) or not service.has_streamed_answer

    def chunk(delta: dict[str, Any], finish: str | None = None, **more: Any) -> ServerSentEvent:
        return sse({**head, "choices": [{"index": 0, "delta": delta, "finish_reason": finish}], **more})

    yield chunk({"role": "assistant", "content": ""})
    async for item in stream:
        match item:
            case Event(kind="piece") if not held:
                sent = True
                yield chunk({"content": item.text})
            case Event(kind="restarted") if sent:
                interrupted = RequestRejected(
                    503, "interrupted", "the answer began anew after a part was sent; ask again"
                )
                yield sse(response_to(interrupted).body)
                return
            case Answer():
                service.has_streamed_answer |= not item.trace.counts["answer.cached"]
                if held:
                    yield chunk({"content": item.text})
                yield chunk({}, item.finish_reason, qttrag={**answer_as_dict(item), "request_id": request_id()})
                if body.includes_usage:
                    yield sse({**head, "choices": [], "usage": _usage(item.trace)})
                yield ServerSentEvent("[DONE]", sep="\n")
            case Exception():
                yield sse(response_to(item).body)


def _head(name: str, kind: str) -> dict[str, Any]:
    return {"id": f"chatcmpl-{request_id()}", "object": kind, "created": int(time.time()), "model": name}


def _usage(trace: Trace) -> dict[str, int] | None:
    """Return the tokens of all stages, those of cached completions as when they were computed; None if a model server
    did not report its own."""
    counts = trace.counts
    if not usage_is_known(counts):
        return None
    used = [
        sum(n for name, n in counts.items() if name.endswith((f".{kind}_tokens", f".cached_{kind}_tokens")))
        for kind in ("prompt", "completion")
    ]
    return {"prompt_tokens": used[0], "completion_tokens": used[1], "total_tokens": sum(used)}
