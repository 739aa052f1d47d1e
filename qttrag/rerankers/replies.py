"""Reads the replies of language models that rank passages."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

_NUMBER = re.compile(r"\[\s*(\d{1,4})\s*\]")
_BARE_CHAIN = re.compile(r"\d{1,4}(?:\s*[>,]\s*\d{1,4})*")
_LETTER = re.compile(r"\W*(?:passage\W+)?([AB])\W*", re.IGNORECASE)
_NAMED = re.compile(r"\bpassage\s+([AB])\b", re.IGNORECASE)

PAIR_SCHEMA: Mapping[str, object] = {
    "type": "object",
    "properties": {"better": {"type": "string", "enum": ["A", "B"]}},
    "required": ["better"],
    "additionalProperties": False,
}


class Ranking(NamedTuple):
    """An order of passages by their places from 0. `repaired`: the reply was no complete order without repeats."""

    order: list[int]
    repaired: bool


def list_schema(n: int, *, reasoned: bool) -> dict[str, object]:
    """Return the JSON schema of an order of `n` passages. That numbers are not repeated, no schema can say."""
    number = {"type": "integer", "minimum": 1, "maximum": n}
    properties: dict[str, object] = {"reasoning": {"type": "string"}} if reasoned else {}
    properties["ranking"] = {"type": "array", "items": number, "minItems": n, "maxItems": n}
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def read_ranking(reply: str, n: int) -> Ranking | None:
    """Return the order of `n` passages in a reply, JSON or "[2] > [1]"; None if it has no valid number.

    The reply is repaired: repeats and numbers out of range are dropped, missing ones follow in their order."""
    numbers = _numbers(reply)
    valid = list(dict.fromkeys(number - 1 for number in numbers if 1 <= number <= n))
    if not valid:
        return None
    missing = [place for place in range(n) if place not in valid]
    return Ranking(valid + missing, repaired=len(numbers) != n or bool(missing))


def _numbers(reply: str) -> list[int]:
    ranking = (_json(reply) or {}).get("ranking")
    if isinstance(ranking, list):
        return [number for number in ranking if isinstance(number, int) and not isinstance(number, bool)]
    for line in reversed(reply.splitlines()):  # the order is on the last line with numbers; reasons precede it
        if found := _NUMBER.findall(line):
            return [int(number) for number in found]
        if _BARE_CHAIN.fullmatch(line.strip()):
            return [int(number) for number in re.findall(r"\d+", line)]
    return []


def read_preference(reply: str) -> Literal["A", "B"] | None:
    """Return the letter in a reply, JSON, "A" or "Passage A"; None if it names none or both."""
    if isinstance(better := (_json(reply) or {}).get("better"), str):
        reply = better
    if alone := _LETTER.fullmatch(reply.strip()):
        letters = {alone[1].upper()}
    else:
        letters = {letter.upper() for letter in _NAMED.findall(reply)}
    if len(letters) != 1:
        return None
    return "A" if letters == {"A"} else "B"


def _json(reply: str) -> dict[str, Any] | None:
    """Return the JSON object in a reply, from its first brace to its last; None if there is none."""
    start, end = reply.find("{"), reply.rfind("}")
    try:
        value = json.loads(reply[start : end + 1]) if 0 <= start < end else None
    except ValueError:
        return None
    return value if isinstance(value, dict) else None
