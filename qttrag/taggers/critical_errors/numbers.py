"""Numbers of an original that its translation does not have."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from typing import NamedTuple

from qttrag.taggers.critical_errors.lexicon import Lexicon, lexicon
from qttrag.taggers.critical_errors.number_parsing import mentions, other_values
from qttrag.taggers.critical_errors.number_reading import Mention, Reading
from qttrag.types import Lang

_LARGEST_YEAR = 2700  # of the Thai calendar


class _Side(NamedTuple):
    """A text with its numbers. `values`: all that it may state."""

    mentions: Sequence[Mention]
    alternatives: Sequence[Sequence[Reading]]
    values: frozenset[Decimal]


class _Habits(NamedTuple):
    """How a text states hours, years and centuries; see `Lexicon`."""

    has_afternoon: bool
    calendar: int
    centuries_by_hundreds: bool


def missing_numbers(original: str, translation: str, source: Lang, target: Lang) -> tuple[str, ...]:
    """Return the numbers of the original, as written, that the translation states in no form.

    A number in digits has to be in the translation, in digits or words. A number in words has to be there only if the
    translation has a number instead that the original lacks: "three weeks" may become "a few weeks"."""
    lexicons = lexicon(source), lexicon(target)
    stated, translated = _side(original, *lexicons), _side(translation, *reversed(lexicons))
    missing, added = _missing(stated, translated), [m for m in _missing(translated, stated) if m.is_certain]
    replaced = [m for m in [*missing, *_repeated(stated, translated)] if m.is_certain] if added else []
    required = [*(m for m in missing if m.in_digits and m.readings[0][0] > 1), *replaced]
    return tuple(dict.fromkeys(mention.written.strip(" -") for mention in required))


def _repeated(side: _Side, other: _Side) -> list[Mention]:
    """Return the numbers in digits that a text has more often than the other."""
    here, there = (Counter(m.readings[0] for m in each.mentions if m.in_digits) for each in (side, other))
    return [m for m in side.mentions if m.in_digits and 0 < there[m.readings[0]] < here[m.readings[0]]]


def _missing(side: _Side, other: _Side) -> list[Mention]:
    return [
        mention
        for mention, readings in zip(side.mentions, side.alternatives, strict=True)
        if not any(other.values.issuperset(reading) for reading in readings)
    ]


def _side(text: str, own: Lexicon | None, other: Lexicon | None) -> _Side:
    found = mentions(text, own)
    if own is not None and other is None:  # the multipliers of the other language are unknown
        unscaled = {mention.start: mention.readings for mention in mentions(text, None)}
        found = [replace(m, readings=(*m.readings, *unscaled.get(m.start, ()))) for m in found]
    habits = _Habits(
        own is not None and own.afternoon.search(text.lower()) is not None,
        own.calendar if own else 0,
        any(each is not None and each.names_centuries_by_hundreds for each in (own, other)),
    )
    alternatives = [_alternatives(mention, habits) for mention in found]
    values = {value for readings in alternatives for reading in readings for value in reading}
    return _Side(found, alternatives, frozenset(values | other_values(text, own)))


def _alternatives(mention: Mention, habits: _Habits) -> list[Reading]:
    """Return what a number may be in another language, by its readings."""
    return [*mention.readings, *((v,) for reading in mention.readings for v in _equivalents(reading[0], habits))]


def _equivalents(value: Decimal, habits: _Habits) -> list[Decimal]:
    """Return the numbers that a translation may have instead of one: 15 o'clock, the eighties, 2019 for 2562."""
    equivalents: list[Decimal] = []
    if not 1 <= value <= _LARGEST_YEAR:
        return equivalents
    if habits.has_afternoon and value <= 12:
        equivalents.append(value + 12)
    if value % 10 == 0 and 10 <= value < 100:
        equivalents += [1900 + value, 1800 + value]
    if value % 10 == 0 and 1800 <= value < 2000:
        equivalents.append(value % 100)
    if habits.calendar and value >= 2300:
        equivalents.append(value - habits.calendar)
    if habits.centuries_by_hundreds and 5 <= value <= 22:
        equivalents.append((value - 1) * 100)
    if habits.centuries_by_hundreds and 400 <= value <= 2100 and value % 100 == 0:
        equivalents.append(value / 100 + 1)
    return equivalents
