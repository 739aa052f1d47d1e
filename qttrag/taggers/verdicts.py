"""The schema of a tagger's reply, and a strict parser of replies."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from qttrag.types import MAX_SCORE, QualityScores, Verdict

KEYS = ("semantic", "grammar", "fluency")
SCHEMA: Mapping[str, object] = {
    "type": "object",
    "properties": {key: {"type": "number", "minimum": 0, "maximum": 5, "multipleOf": 0.1} for key in KEYS},
    "required": list(KEYS),
    "additionalProperties": False,
}
"""ASCII keys for prompts in all languages: fewer tokens, and one grammar (docs/design/score-keys.md)."""

UNREADABLE = Verdict(None, "unreadable")
OUT_OF_RANGE = Verdict(None, "range")
_ONE_DECIMAL = re.compile(r"-?\d+(\.\d)?([eE]\+?\d+)?")
_SURROUNDED = re.compile(r"[^{}\[\]]*(\{[^{}]*\})[^{}\[\]]*")


def parse(reply: str, names: Mapping[str, str] | None = None) -> Verdict:
    """Return the verdict in a reply: the one JSON object in it, with exactly the three keys.

    Text around the object is allowed if it contains no other brace, so that no choice between objects is made.
    `names`: the names of the criteria by key in the language of the prompt; a reply may use all three instead. A
    number outside [0, 5] gives the cause "range"; every other deviation, such as a second decimal, "unreadable".
    Never raises."""
    text = reply.strip()
    if surrounded := _SURROUNDED.fullmatch(text):
        text = surrounded.group(1)
    try:
        value = json.loads(text, object_pairs_hook=_without_repeats, parse_float=_one_decimal, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return UNREADABLE
    if not isinstance(value, dict):
        return UNREADABLE
    for keys in (KEYS, tuple((names or {}).get(key, key) for key in KEYS)):
        if set(value) == set(keys):
            return _scores([value[key] for key in keys])
    return UNREADABLE


def _scores(values: list[Any]) -> Verdict:
    if any(isinstance(value, bool) or not isinstance(value, int | float) for value in values):
        return UNREADABLE
    if not all(0 <= value <= MAX_SCORE for value in values):
        return OUT_OF_RANGE
    semantic, grammar, fluency = map(float, values)
    return Verdict(QualityScores(semantic, grammar, fluency))


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({key for key, _ in pairs}) != len(pairs):
        raise ValueError("a key is repeated")
    return dict(pairs)


def _one_decimal(number: str) -> float:
    if not _ONE_DECIMAL.fullmatch(number):
        raise ValueError(f"{number} has more than one decimal")
    return float(number)


def _refuse(constant: str) -> float:
    raise ValueError(f"{constant} is not JSON")
