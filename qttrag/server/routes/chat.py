"""qttrag as a model for OpenAI's clients: `/v1/chat/completions` and `/v1/models`. Strategies are the models."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Request
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field

from qttrag.application import registry
from qttrag.application.serialization import answer_as_dict
from qttrag.errors import StageUnavailable, unknown
from qttrag.server.errors import ErrorBody, Refusal
from qttrag.server.problems import problem_of
from qttrag.server.routes.ask import ERRORS, STREAMED, service_of, sse
from qttrag.server.schemas import SAYS_SOMETHING, Collections, Positive, Whole
from qttrag.server.service import Service, events, first_and_rest, while_there
from qttrag.types import Answer, AskLimits, AskRequest, Event, Message

router = APIRouter(prefix="/v1", responses={**ERRORS, 404: {"model": ErrorBody, "description": "No such model"}})
_STARTED = int(time.time())
_UNSUPPORTED = ("tools", "functions", "tool_choice", "logprobs", "audio", "modalities", "prediction")


class Part(BaseModel):
    """A part of a message; only text can be read."""

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
            Refusal: it has parts that are not text."""
        if isinstance(self.content, list):
            if strange := [part.type for part in self.content if part.type != "text"]:
                raise Refusal(400, "unsupported", f"message parts of type '{strange[0]}' cannot be read; send text")
            return "\n".join(part.text for part in self.content)
        return self.content or ""


class StreamOptions(BaseModel):
    model_config = ConfigDict(extra="ignore", strict=True)
    include_usage: bool = False


_TEXT: dict[str, Any] = {"type": "string", "pattern": SAYS_SOMETHING}
_PARTS: dict[str, Any] = {"type": "array", "contains": {"properties": {"text": _TEXT}, "required": ["text"]}}
_A_QUESTION: dict[str, Any] = {
    "properties": {"role": {"const": "user"}, "content": {"anyOf": [_TEXT, _PARTS]}},
    "required": ["role", "content"],
}
_NAMES = list[Any](sorted(registry.kinds("strategy")))


class ChatRequest(BaseModel):
    """As OpenAI has it. Sampling parameters are taken and not used: answers are decoded greedily.

    `collections` is our own: search only these of the deployment's, by their names; all of them when null."""

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
    """Return one of them."""
    _check_model(name)
    return _model(name)


def _model(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": _STARTED, "owned_by": "qttrag"}


def _check_model(name: str) -> None:
    known = registry.kinds("strategy")
    if name not in known:
        raise Refusal(404, "model_not_found", unknown("model", name, known), param="model")


@router.post("/chat/completions", responses=STREAMED)
async def chat(request: Request, body: ChatRequest) -> Any:
    """Answer the user's last question in a chat. Turns before it are used to understand it; those after it are not
    used."""
    service = service_of(request)
    service.check_ready()
    _check(service, body)
    asked = await while_there(request, _request(service, body))
    request_id = request.state.request_id
    if not body.stream:
        answer = await while_there(request, service.ask(asked))
        return {
            **_head(request_id, body.model, "chat.completion"),
            "choices": [
                {
                    "index": 0,
                    "message": {"role": "assistant", "content": answer.text},
                    "finish_reason": answer.finish_reason,
                }
            ],
            "usage": _usage(answer),
            "qttrag": {**answer_as_dict(answer), "request_id": request_id},
        }
    first, everything = await first_and_rest(events(request, service, asked))
    if isinstance(first, Exception):
        raise first
    return StreamingResponse(
        _chunks(service, everything, body, request_id),
        media_type="text/event-stream",
        headers={"cache-control": "no-store", "x-accel-buffering": "no"},
    )


def _check(service: Service, body: ChatRequest) -> None:
    _check_model(body.model)
    given = body.model_extra or {}
    for name in _UNSUPPORTED:
        if given.get(name):
            raise Refusal(400, "unsupported", f"`{name}` is not supported; leave it out", param=name)
    if body.n not in (None, 1):
        raise Refusal(400, "unsupported", f"`n: {body.n}` is not supported, there is one answer", param="n")
    if body.response_format and body.response_format.get("type", "text") != "text":
        raise Refusal(400, "unsupported", "only text is answered; leave `response_format` out", param="response_format")
    most = service.settings.max_turns
    if len(body.messages) > most:
        raise Refusal(422, "too_many", f"{len(body.messages)} messages are more than the {most} that are allowed")
    long = service.settings.max_text_chars
    for turn in body.messages:
        if len(turn.text) > long:
            raise Refusal(422, "too_long", f"a message is longer than the {long} characters that are allowed")
    _asked(body)


def _asked(body: ChatRequest) -> int:
    """Return the place of the question: of the user's turns the last that says something.

    Raises:
        Refusal: there is none."""
    said = [n for n, turn in enumerate(body.messages) if turn.role == "user" and turn.text.strip()]
    if not said:
        raise Refusal(400, "no_question", "one of the messages must be the user's, with a question", param="messages")
    return said[-1]


async def _request(service: Service, body: ChatRequest) -> AskRequest:
    place = _asked(body)
    question = body.messages[place].text
    chosen = service.application.check_collections(body.collections)
    lang = await service.application.language_of(service.application.check_question(question))
    said: list[Message] = [
        {"role": turn.role, "content": turn.text}
        for turn in body.messages[:place]
        if turn.role in ("user", "assistant") and turn.text.strip()
    ]
    if said:
        async with service.working() as trace:
            question = await service.application.stages_for(trace).condense_question(question, said, lang)
        service.metrics.observe(body.model, trace)
    tokens = body.max_completion_tokens or body.max_tokens
    most = service.application.deployment.answer_tokens
    answer_tokens = None if tokens is None else min(tokens, most)
    limits = AskLimits(answer_tokens=answer_tokens, deadline=service.settings.deadline)
    return AskRequest(question, lang=lang, strategy=body.model, collections=chosen, limits=limits)


async def _chunks(
    service: Service,
    stream: AsyncIterator[Event | Answer | Exception],
    body: ChatRequest,
    request_id: str,
) -> AsyncIterator[str]:
    """Send the answer as it comes; whole at its end where it may be replaced, for what is sent cannot be taken back."""
    head = _head(request_id, body.model, "chat.completion.chunk")
    guard, sent = service.application.stages.guard, False
    held = guard is not None and guard.repairs

    def chunk(delta: dict[str, Any], finish: str | None = None, **more: Any) -> str:
        return sse({**head, "choices": [{"index": 0, "delta": delta, "finish_reason": finish}], **more})

    with service.metrics.streams.track_inprogress():
        yield chunk({"role": "assistant", "content": ""})
        async for item in stream:
            match item:
                case Event(kind="piece") if not held:
                    sent = True
                    yield chunk({"content": item.text})
                case Event(kind="restarted") if sent:
                    broken = StageUnavailable("generator", "the answer broke off and cannot be taken back; ask again")
                    yield sse(problem_of(broken, request_id).body)
                    return
                case Answer():
                    if held:
                        yield chunk({"content": item.text})
                    yield chunk({}, item.finish_reason, qttrag={**answer_as_dict(item), "request_id": request_id})
                    if body.stream_options and body.stream_options.include_usage:
                        yield sse({**head, "choices": [], "usage": _usage(item)})
                    yield "data: [DONE]\n\n"
                case Exception():
                    yield sse(problem_of(item, request_id).body)


def _head(request_id: str, name: str, kind: str) -> dict[str, Any]:
    return {"id": f"chatcmpl-{request_id}", "object": kind, "created": int(time.time()), "model": name}


def _usage(answer: Answer) -> dict[str, int]:
    counts = answer.trace.counts
    used = [
        sum(n for name, n in counts.items() if name.endswith(f".{kind}_tokens")) for kind in ("prompt", "completion")
    ]
    return {"prompt_tokens": used[0], "completion_tokens": used[1], "total_tokens": sum(used)}
