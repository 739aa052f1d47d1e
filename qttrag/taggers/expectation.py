"""Scores as expectations over the tagger's possible replies, from the probabilities of its tokens."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from itertools import accumulate
from typing import NamedTuple

from qttrag.types import MAX_SCORE, Completion, QualityScores, Token

_NUMBER = re.compile(r":\s*(\d)(?:\.(\d))?")
_DIGITS = re.compile(r"([0-5])(?:\.(\d)?)?(?![\d.])")
_ENOUGH = 0.5  # with less probability on digits, the score is not estimated


class _Place(NamedTuple):
    """The position of a character: in `token`, after `before`."""

    token: Token
    before: str


def expected(written: QualityScores, completion: Completion) -> QualityScores | None:
    """Return the scores of a completion, which was parsed as `written`, as expectations.

    The digit before the point is weighted by the probabilities of the digits at its position. The digit after the
    point is weighted likewise where the written one stands, and assumed to be the same after other first digits.
    None if the tokens have no alternatives, or few that are digits."""
    numbers = list(_NUMBER.finditer(completion.text))
    if len(numbers) != len(written.values()):
        return None
    values = [_expectation(completion, match) for match in numbers]
    order = _order(completion.text, written)
    if order is None or any(value is None for value in values):
        return None
    by_key = dict(zip(order, values, strict=True))
    return QualityScores(**{key: float(value) for key, value in by_key.items() if value is not None})


def _order(text: str, written: QualityScores) -> list[str] | None:
    """Return the keys in the order of the reply; for localised keys, the usual order is assumed."""
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
    """Return the values of the alternatives at a digit's position, by their text from there on."""
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
    """Return the position of the character `at` of the text, None if the tokens do not spell the text."""
    if not "".join(token.text for token in completion.tokens).startswith(completion.text):
        return None
    ends = accumulate(len(token.text) for token in completion.tokens)
    for token, end in zip(completion.tokens, ends, strict=True):
        if at < end:
            return _Place(token, token.text[: at - (end - len(token.text))])
    return None
