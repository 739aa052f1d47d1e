"""Reading what servers send as a chunk of a chat completion: any JSON value, however far from the documented form."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from qttrag.types import Token, Usage

_CUT = ("length", "max_tokens", "model_length")  # finish reasons of a completion that reached its limit
_REASONING = ("reasoning_content", "reasoning", "thinking")  # fields of a delta


class Chunk(NamedTuple):
    """What one chunk says. `is_empty`: it belongs to no completion, as a keep-alive. `finish`: None or a reason.

    `is_last`: the server said that the stream is over."""

    text: str = ""
    reasoning: str = ""
    tokens: Sequence[Token] = ()
    finish: str | None = None
    usage: Usage | None = None
    is_empty: bool = False
    is_last: bool = False

    @property
    def is_cut(self) -> bool:
        return self.finish in _CUT


class ErrorInStream(Exception):
    """A server reported an error in place of a chunk. `body`: as it came."""

    def __init__(self, body: object) -> None:
        super().__init__("the server reported an error in its stream")
        self.body = body


def parse(data: bytes) -> Chunk:
    """Return what the data of an event, or a whole reply, says.

    Raises:
        ErrorInStream: it is an error.
        ValueError: it is not JSON, or its content is of an unknown type."""
    try:
        return _read(json.loads(data))
    except RecursionError as error:
        raise ValueError("the JSON is nested too deeply") from error


def _read(body: object) -> Chunk:
    body = _dict(body)
    if body.get("error"):
        raise ErrorInStream(body)
    usage = _usage(_dict(body.get("usage")))
    choices = [choice for choice in _list(body.get("choices")) if isinstance(choice, dict)]
    if not choices:
        return Chunk(usage=usage, is_empty=usage is None)
    choice = choices[0]
    delta = _dict(choice.get("delta")) or _dict(choice.get("message")) or choice
    content = next((delta[key] for key in ("content", "refusal", "text") if delta.get(key)), None)
    text, thought = _parts(content)
    fields = (_parts(delta[key]) for key in _REASONING if delta.get(key))
    reasoning = thought or next((said for said in map("".join, fields) if said), "")
    finish = choice.get("finish_reason")
    finish = finish.lower() if isinstance(finish, str) and finish else None
    return Chunk(text, reasoning, _tokens(choice), finish, usage)


def _parts(content: object) -> tuple[str, str]:
    """Return the text and the reasoning in a content: a text, a part or a list of parts.

    Raises:
        ValueError: it is something else, so that a part of the text might be missing."""
    match content:
        case None:
            return "", ""
        case str():
            return content, ""
        case list():
            pairs = [_parts(part) for part in content]
            return "".join(text for text, _ in pairs), "".join(reasoning for _, reasoning in pairs)
        case {"thinking": thinking}:
            return "", "".join(_parts(thinking))
        case {"text": text}:
            return _parts(text)
        case dict():  # a reference, an image
            return "", ""
    raise ValueError(f"content of type {type(content).__name__}")


def _usage(usage: dict[str, Any]) -> Usage | None:
    numbers = [usage.get(f"{kind}_tokens") for kind in ("prompt", "completion")]
    if not any(_is_count(number) for number in numbers):
        return None
    return Usage(*(number if isinstance(number, int) and _is_count(number) else 0 for number in numbers))


def _is_count(number: object) -> bool:
    return isinstance(number, int) and not isinstance(number, bool) and number >= 0


def _tokens(choice: dict[str, Any]) -> list[Token]:
    tokens = (token for token in _list(_dict(choice.get("logprobs")).get("content")) if isinstance(token, dict))
    return [Token(_str(token.get("token")), _alternatives(_list(token.get("top_logprobs")))) for token in tokens]


def _alternatives(alternatives: list[Any]) -> dict[str, float]:
    values = {_str(_dict(other).get("token")): _logprob(_dict(other).get("logprob")) for other in alternatives}
    return {text: value for text, value in values.items() if value is not None}


def _logprob(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return None if math.isnan(number) else min(number, 0.0)


def _dict(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _str(value: object) -> str:
    return joined_halves(value) if isinstance(value, str) else ""


def joined_halves(text: str) -> str:
    """Return the text with pairs of surrogates as the character that they stand for, and single ones replaced."""
    if text.isascii():
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


class SurrogateJoiner:
    """Joins a character whose halves are in two pieces of text."""

    def __init__(self) -> None:
        self._half = ""

    def feed(self, text: str) -> str:
        """Return the text with what was held back before it, but for half a character at its end."""
        text = self._half + text
        self._half = text[-1] if text and "\ud800" <= text[-1] <= "\udbff" else ""
        return joined_halves(text[: len(text) - len(self._half)])

    def finish(self) -> str:
        """Return what was held back, as a replacement character."""
        half, self._half = self._half, ""
        return joined_halves(half)
