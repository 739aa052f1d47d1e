"""The body of `/v1/chat/completions` as a request to ask: the question, and the earlier turns that can be used."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from qttrag.application import registry
from qttrag.config.server_settings import ServerSettings
from qttrag.server.chat_parameters import check_parameters
from qttrag.server.errors import RequestRejected
from qttrag.server.schemas import LANG, NOT_BLANK, Collections, Whole
from qttrag.trace import Note
from qttrag.types import Message

NAMES = list[Any](sorted(registry.kinds("strategy")))
_TEXT: dict[str, Any] = {"type": "string", "pattern": NOT_BLANK}
_PARTS: dict[str, Any] = {
    "type": "array",
    "items": {"properties": {"type": {"const": "text"}}},
    "contains": {"properties": {"text": _TEXT}, "required": ["text"]},
}
_QUESTION: dict[str, Any] = {
    "properties": {"role": {"const": "user"}, "content": {"anyOf": [_TEXT, _PARTS]}},
    "required": ["role", "content"],
}
_OTHER_FIELDS = ("tool_calls", "function_call", "refusal", "audio")  # of a message, beside its content
_TOKENS: dict[str, Any] = {"anyOf": [{"type": "integer", "minimum": 1}, {"const": -1}, {"type": "null"}]}


class Turn(BaseModel):
    """A message. Only the user's last one must be text; what cannot be read in the others is left out with a note."""

    model_config = ConfigDict(extra="allow")
    role: str
    content: Any = None


class StreamOptions(BaseModel):
    model_config = ConfigDict(extra="ignore", strict=True)
    include_usage: bool | None = None


class ChatRequest(BaseModel):
    """OpenAI's request. Sampling parameters are accepted and ignored: answers are decoded greedily.

    `max_tokens` -1: no limit but the deployment's. `collections` and `lang` are extensions: search only these
    collections of the deployment, null: all; the language to answer in, null: detected."""

    model_config = ConfigDict(extra="allow", strict=True)
    model: str = Field(examples=["qtt_rag"], json_schema_extra={"enum": NAMES})
    messages: list[Turn] = Field(min_length=1, json_schema_extra={"contains": _QUESTION})
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_tokens: Whole | None = Field(default=None, json_schema_extra=_TOKENS)
    max_completion_tokens: Whole | None = Field(default=None, json_schema_extra=_TOKENS)
    collections: Collections | None = None
    lang: LANG | None = None

    @property
    def includes_usage(self) -> bool:
        return bool(self.stream_options and self.stream_options.include_usage)


class Chat(NamedTuple):
    """What is used of a chat. `earlier`: the turns of user and assistant before the question. `notes`: what is not."""

    question: str
    earlier: list[Message]
    notes: list[Note]


class _Content(NamedTuple):
    """The text of a message, and the types of its parts that are not text."""

    text: str
    unreadable: list[str]


def read_chat(body: ChatRequest, settings: ServerSettings) -> Chat:
    """Return the question, which is the user's last message, and the newest earlier turns within the limits.

    Raises:
        RequestRejected: 422; a parameter is not supported, or the question is missing or is not text."""
    check_parameters(body.model_extra or {})
    answer_tokens(body)
    position, question = _find_question(body.messages)
    earlier, notes = select_turns(body.messages[:position], settings)
    return Chat(question, earlier, notes)


def answer_tokens(body: ChatRequest) -> int | None:
    """Return the limit that the request sets on the answer, or None.

    Raises:
        RequestRejected: 422; it is neither a positive number nor -1, which stands for no limit."""
    for name in ("max_completion_tokens", "max_tokens"):
        tokens = getattr(body, name)
        if tokens is not None and tokens < 1 and tokens != -1:
            message = f"`{name}: {tokens}` is too small; send 1 or more, or -1 for the limit of the service"
            raise RequestRejected(422, "invalid_value", message, param=name)
        if tokens is not None and tokens != -1:
            return int(tokens)
    return None


def _find_question(turns: Sequence[Turn]) -> tuple[int, str]:
    """Return the position and the text of the user's last message that is not blank."""
    for position in reversed(range(len(turns))):
        content = _read(turns[position].content)
        if turns[position].role != "user" or not (content.text.strip() or content.unreadable):
            continue
        if content.unreadable:
            message = f"message parts of type '{content.unreadable[0]}' cannot be read in the question; send text"
            raise RequestRejected(422, "unsupported", message, param="messages")
        return position, content.text
    raise RequestRejected(422, "no_question", "a user message with a question is required", param="messages")


def select_turns(turns: Sequence[Turn], settings: ServerSettings) -> tuple[list[Message], list[Note]]:
    """Return the newest turns within the limits that can be used, and notes on those that cannot."""
    usable: list[Message] = []
    left_out, incomplete = Counter[str](), Counter[str]()
    for turn in turns:
        if turn.role in ("system", "developer"):
            continue  # not part of the conversation: the prompts are the deployment's
        content = _read(turn.content, turn.model_extra or {})
        if obstacle := _obstacle(turn, content, settings):
            left_out[obstacle] += 1
            continue
        incomplete.update(set(content.unreadable))
        usable.append({"role": "user" if turn.role == "user" else "assistant", "content": content.text})
    surplus = max(0, len(usable) - (settings.max_turns - 1))
    if surplus:
        left_out[f"only the newest {settings.max_turns} messages are read"] = surplus
    notes = [Note(f"{_earlier_turns(n)} left out: {obstacle}") for obstacle, n in left_out.items()]
    notes += [Note(f"{_earlier_turns(n)} read without {kind}") for kind, n in incomplete.items()]
    return usable[surplus:], notes


def _obstacle(turn: Turn, content: _Content, settings: ServerSettings) -> str | None:
    """Return why a turn cannot be used, or None."""
    if turn.role not in ("user", "assistant"):
        return f"the role '{turn.role[:20]}' is not read"
    if not content.text.strip():
        return f"no text{f', but {content.unreadable[0]}' if content.unreadable else ''}"
    if len(content.text) > settings.max_text_chars:
        return f"longer than {settings.max_text_chars} characters"
    return None


def _earlier_turns(n: int) -> str:
    return "1 earlier turn was" if n == 1 else f"{n} earlier turns were"


def _read(content: Any, further: Mapping[str, Any] = MappingProxyType({})) -> _Content:
    """Return the content of a message. `further`: its other fields."""
    texts, unreadable = list[str](), [name for name in _OTHER_FIELDS if further.get(name)]
    for part in content if isinstance(content, list) else [content]:
        match part:
            case None | {"type": "text", "text": None}:
                continue
            case str(text) | {"type": "text", "text": str(text)}:
                texts.append(text.encode("utf-8", "replace").decode())  # no lone surrogates
            case {"type": str(kind)}:
                unreadable.append(kind[:40])
            case _:
                unreadable.append(type(part).__name__)
    return _Content("\n".join(texts), unreadable)
