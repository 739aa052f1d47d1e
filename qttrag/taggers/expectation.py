"""Scores as expectations over what the tagger might have written, from the probabilities of its tokens."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from itertools import accumulate
from typing import NamedTuple

from qttrag.types import MAX_SCORE, Completion, QualityScores, Token

_NUMBER = re.compile(r":\s*(\d)(?:\.(\d))?")
_DIGITS = re.compile(r"([0-5])(?:\.(\d)?)?(?![\d.])")
_ENOUGH = 0.5  # less probability than this on digits says nothing about the score


class _Place(NamedTuple):
    """Where a character stands: in the token, after `before`."""

    token: Token
    before: str


def expected(written: QualityScores, completion: Completion) -> QualityScores | None:
    """Return each of the scores in a completion that was read as `written`, as an expectation.

    The digit before the point counts by the probabilities of the digits in its place. What follows the point is
    known of the digit that was written, by the probabilities in its place, and taken to be the same for the others.
    None where the tokens do not tell: no alternatives, or few of them digits."""
    found = list(_NUMBER.finditer(completion.text))
    if len(found) != len(written.values()):
        return None
    values = [_expectation(completion, match) for match in found]
    order = _order(completion.text, written)
    if order is None or any(value is None for value in values):
        return None
    by_key = dict(zip(order, values, strict=True))
    return QualityScores(**{key: float(value) for key, value in by_key.items() if value is not None})


def _order(text: str, written: QualityScores) -> list[str] | None:
    """Return the keys in the order they are written in; of localised ones it can only be the usual order."""
    keys = list(written.__dataclass_fields__)
    places = {key: text.find(f'"{key}"') for key in keys}
    if all(place >= 0 for place in places.values()):
        return sorted(keys, key=lambda key: places[key])
    return keys if all(place < 0 for place in places.values()) else None


def _expectation(completion: Completion, number: re.Match[str]) -> float | None:
    place = _place(completion, number.start(1))
    if place is None:
        return None
    fraction = 0.0
    if (decimals := number.group(2)) is not None:
        fraction = int(decimals) / 10
        later = _place(completion, number.start(2))
        if later is not None and later.token is not place.token:
            mean = _mean({digit: int(digit) / 10 for digit in "0123456789"}, later)
            fraction = fraction if mean is None else mean
    return _mean(_values(place, fraction), place)


def _values(place: _Place, fraction: float) -> dict[str, float]:
    """Return what the alternatives in a digit's place stand for, by what they say from there on."""
    values = {}
    for text in place.token.alternatives:
        rest = text.removeprefix(place.before)
        if (digits := _DIGITS.match(rest)) is not None:
            whole, decimal = int(digits.group(1)), digits.group(2)
            values[rest] = min(MAX_SCORE, whole + (fraction if decimal is None else int(decimal) / 10))
    return values


def _mean(values: Mapping[str, float], place: _Place) -> float | None:
    weights = {
        text.removeprefix(place.before): math.exp(logprob)
        for text, logprob in place.token.alternatives.items()
        if text.startswith(place.before)
    }
    known = {text: weight for text, weight in weights.items() if text in values}
    total = sum(known.values())
    if total < _ENOUGH:
        return None
    return sum(weight * values[text] for text, weight in known.items()) / total


def _place(completion: Completion, at: int) -> _Place | None:
    """Return where the character `at` of the text stands, None where the tokens are not the text."""
    if not "".join(token.text for token in completion.tokens).startswith(completion.text):
        return None
    ends = accumulate(len(token.text) for token in completion.tokens)
    for token, end in zip(completion.tokens, ends, strict=True):
        if at < end:
            return _Place(token, token.text[: at - (end - len(token.text))])
    return None
