"""qttrag as a model for OpenAI's clients: `/v1/chat/completions` and `/v1/models`. Strategies are the models."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Request
from pydantic import BaseModel, ConfigDict, Field
from sse_starlette import ServerSentEvent

from qttrag.application import registry
from qttrag.application.serialization import answer_as_dict
from qttrag.errors import StageUnavailable, unknown
from qttrag.server.errors import STATUSES, ErrorBody, RequestRejected, request_id, response_to
from qttrag.server.routes.ask import STREAMED, sse
from qttrag.server.schemas import NOT_BLANK, Collections, Positive, Whole
from qttrag.server.service import Service, event_stream, service_of, stream_events, until_disconnected
from qttrag.trace import usage_is_known
from qttrag.types import Answer, AskLimits, AskRequest, Event, Message

router = APIRouter(prefix="/v1", responses={**STATUSES, 404: {"model": ErrorBody, "description": "No such model"}})
_STARTED = int(time.time())
_UNSUPPORTED = ("tools", "functions", "tool_choice", "logprobs", "audio", "modalities", "prediction")


class Part(BaseModel):
    """A part of a message; only text is supported."""

    model_config = ConfigDict(extra="allow")
    type: str = Field(json_schema_extra={"const": "text"})
    text: str = ""


class Turn(BaseModel):
    model_config = ConfigDict(extra="ignore")
    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: str | list[Part] | None = None

    @property
    def text(self) -> str:
        """Return the text of the turn.

        Raises:
            RequestRejected: a part is not text."""
        if isinstance(self.content, list):
            if unreadable := [part.type for part in self.content if part.type != "text"]:
                raise RequestRejected(
                    400, "unsupported", f"message parts of type '{unreadable[0]}' cannot be read; send text"
                )
            return "\n".join(part.text for part in self.content)
        return self.content or ""


class StreamOptions(BaseModel):
    model_config = ConfigDict(extra="ignore", strict=True)
    include_usage: bool = False


_TEXT: dict[str, Any] = {"type": "string", "pattern": NOT_BLANK}
_PARTS: dict[str, Any] = {"type": "array", "contains": {"properties": {"text": _TEXT}, "required": ["text"]}}
_A_QUESTION: dict[str, Any] = {
    "properties": {"role": {"const": "user"}, "content": {"anyOf": [_TEXT, _PARTS]}},
    "required": ["role", "content"],
}
_NAMES = list[Any](sorted(registry.kinds("strategy")))


class ChatRequest(BaseModel):
    """OpenAI's request. Sampling parameters are accepted and ignored: answers are decoded greedily.

    `collections` is an extension: search only these collections of the deployment; null: all."""

    model_config = ConfigDict(extra="allow", strict=True)
    model: str = Field(examples=["qtt_rag"], json_schema_extra={"enum": _NAMES})
    messages: list[Turn] = Field(min_length=1, json_schema_extra={"contains": _A_QUESTION})
    stream: bool = False
    stream_options: StreamOptions | None = None
    max_tokens: Positive | None = None
    max_completion_tokens: Positive | None = None
    n: Whole | None = Field(default=None, json_schema_extra={"enum": [1, None]})
    response_format: dict[str, Any] | None = Field(
        default=None, json_schema_extra={"properties": {"type": {"const": "text"}}}
    )
    collections: Collections | None = None


@router.get("/models")
async def models() -> dict[str, Any]:
    """List the strategies as models."""
    return {"object": "list", "data": [_model(name) for name in sorted(registry.kinds("strategy"))]}


@router.get("/models/{name}")
async def model(name: Annotated[str, Path(json_schema_extra={"enum": _NAMES})]) -> dict[str, Any]:
    """Return one strategy as a model."""
    _check_model(name)
    return _model(name)


def _model(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": _STARTED, "owned_by": "qttrag"}


def _check_model(name: str) -> None:
    known = registry.kinds("strategy")
    if name not in known:
        raise RequestRejected(404, "model_not_found", unknown("model", name, known), param="model")


@router.post("/chat/completions", responses=STREAMED)
async def chat(request: Request, body: ChatRequest) -> Any:
    """Answer the user's last question in a chat. Earlier turns are used to understand it; later ones are ignored."""
    service = service_of(request)
    service.check_ready()
    _check(service, body)
    asked = await until_disconnected(request, _request(service, body))
    if not body.stream:
        answer = await until_disconnected(request, service.ask(asked))
        return {
            **_head(body.model, "chat.completion"),
            "choices": [
                {
                    "index": 0,
                    "message": {"role": "assistant", "content": answer.text},
                    "finish_reason": answer.finish_reason,
                }
            ],
            "usage": _usage(answer),
            "qttrag": {**answer_as_dict(answer), "request_id": request_id()},
        }
    return event_stream(service, _chunks(service, await stream_events(request, service, asked), body))


def _check(service: Service, body: ChatRequest) -> None:
    _check_model(body.model)
    given = body.model_extra or {}
    for name in _UNSUPPORTED:
        if given.get(name):
            raise RequestRejected(400, "unsupported", f"`{name}` is not supported; omit it", param=name)
    if body.n not in (None, 1):
        raise RequestRejected(400, "unsupported", f"`n: {body.n}` is not supported, there is one answer", param="n")
    if body.response_format and body.response_format.get("type", "text") != "text":
        raise RequestRejected(400, "unsupported", "answers are text; omit `response_format`", param="response_format")
    most = service.settings.max_turns
    if len(body.messages) > most:
        raise RequestRejected(422, "too_many", f"{len(body.messages)} messages exceed the limit of {most}")
    longest = service.settings.max_text_chars
    for turn in body.messages:
        if len(turn.text) > longest:
            raise RequestRejected(422, "too_long", f"a message exceeds the limit of {longest} characters")
    _position_of_question(body)


def _position_of_question(body: ChatRequest) -> int:
    """Return the position of the question: the user's last turn with text.

    Raises:
        RequestRejected: there is none."""
    with_text = [n for n, turn in enumerate(body.messages) if turn.role == "user" and turn.text.strip()]
    if not with_text:
        raise RequestRejected(400, "no_question", "a user message with a question is required", param="messages")
    return with_text[-1]


async def _request(service: Service, body: ChatRequest) -> AskRequest:
    position = _position_of_question(body)
    question = body.messages[position].text
    collections = service.application.check_collections(body.collections)
    lang = await service.application.language_of(service.application.check_question(question))
    earlier: list[Message] = [
        {"role": turn.role, "content": turn.text}
        for turn in body.messages[:position]
        if turn.role in ("user", "assistant") and turn.text.strip()
    ]
    if earlier:
        async with service.working() as trace:
            question = await service.application.stages_for(trace).condense_question(question, earlier, lang)
        service.metrics.observe(body.model, trace)
    tokens = body.max_completion_tokens or body.max_tokens
    most = service.application.deployment.answer_tokens
    answer_tokens = None if tokens is None else min(tokens, most)
    limits = AskLimits(answer_tokens=answer_tokens, deadline=service.settings.deadline)
    return AskRequest(question, lang=lang, strategy=body.model, collections=collections, limits=limits)


async def _chunks(
    service: Service, stream: AsyncIterator[Event | Answer | Exception], body: ChatRequest
) -> AsyncIterator[ServerSentEvent]:
    """Yield the answer as it streams; as a whole if it may still be replaced, as sent text cannot be recalled."""
    head = _head(body.model, "chat.completion.chunk")
    guard, sent = service.application.stages.guard, False
    held = guard is not None and guard.repairs

    def chunk(delta: dict[str, Any], finish: str | None = None, **more: Any) -> ServerSentEvent:
        return sse({**head, "choices": [{"index": 0, "delta": delta, "finish_reason": finish}], **more})

    yield chunk({"role": "assistant", "content": ""})
    async for item in stream:
        match item:
            case Event(kind="piece") if not held:
                sent = True
                yield chunk({"content": item.text})
            case Event(kind="restarted") if sent:
                interrupted = StageUnavailable("generator", "the answer was interrupted after its beginning; ask again")
                yield sse(response_to(interrupted).body)
                return
            case Answer():
                if held:
                    yield chunk({"content": item.text})
                yield chunk({}, item.finish_reason, qttrag={**answer_as_dict(item), "request_id": request_id()})
                if body.stream_options and body.stream_options.include_usage:
                    yield sse({**head, "choices": [], "usage": _usage(item)})
                yield ServerSentEvent("[DONE]", sep="\n")
            case Exception():
                yield sse(response_to(item).body)


def _head(name: str, kind: str) -> dict[str, Any]:
    return {"id": f"chatcmpl-{request_id()}", "object": kind, "created": int(time.time()), "model": name}


def _usage(answer: Answer) -> dict[str, int] | None:
    """Return the tokens of all stages; None if a model server did not report its own."""
    counts = answer.trace.counts
    if not usage_is_known(counts):
        return None
    used = [
        sum(n for name, n in counts.items() if name.endswith(f".{kind}_tokens")) for kind in ("prompt", "completion")
    ]
    return {"prompt_tokens": used[0], "completion_tokens": used[1], "total_tokens": sum(used)}
