"""The numbers of a text: in digits with multipliers, in words, with months, eras and ranges."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import NamedTuple

from qttrag.taggers.critical_errors.lexicon import Lexicon
from qttrag.taggers.critical_errors.number_reading import (
    SPACES,
    Mention,
    Reading,
    in_digits,
    lowered,
    plain,
    roman_numerals,
)

_WORD = re.compile(r"[^\W\d_]+")
_NEXT_WORD = re.compile(rf"[{SPACES}-]?([^\W\d_]+)\.?")
_RANGE = re.compile(r"\D{1,5}")
_DASHES = frozenset("-–—/")
_BIG_ATTACHED, _BIG = 10_000, 1000  # from here on, a multiplier multiplies all that precedes it


class _Item(NamedTuple):
    value: Decimal
    is_multiplier: bool


def mentions(text: str, lexicon: Lexicon | None) -> list[Mention]:
    """Return the numbers of a text in order. Without a lexicon: those in digits, without multipliers."""
    text = plain(text)
    found = in_digits(text)
    if lexicon is None:
        return found
    lower = lowered(text)
    found = list(_joined(text, found, lexicon) if lexicon.is_attached else _multiplied(lower, found, lexicon))
    rest = list(lower)
    for mention in found:
        rest[mention.start : mention.end] = "\0" * (mention.end - mention.start)
    in_words = _attached_words if lexicon.is_attached else _spaced_words
    found = [*(_in_era(text, mention, lexicon) for mention in found), *in_words("".join(rest), lexicon)]
    return list(_with_ranges(text, sorted(found, key=lambda mention: mention.start), lexicon))


def other_values(text: str, lexicon: Lexicon | None) -> set[Decimal]:
    """Return the numbers that a text may state without a number: months, Roman numerals, ambiguous words."""
    values = roman_numerals(text)
    if lexicon is not None:
        for word in _WORD.findall(text.lower()):
            month = lexicon.months.get(word)
            values |= {Decimal(number) for number in (*_loose(word, lexicon), *([month] if month else []))}
    return values


def _multiplied(text: str, found: Sequence[Mention], lexicon: Lexicon) -> Iterator[Mention]:
    """Yield the numbers with the multipliers that follow them, as in "1,4 millones"."""
    for mention in found:
        factor, end = 1, mention.end
        while word := _NEXT_WORD.match(text, end):
            multiplier = lexicon.multipliers.get(word.group(1))
            if multiplier is None or (len(word.group(1)) == 1 and word.start(1) > end):  # "5k", not "5 m"
                break
            factor, end = factor * multiplier, word.end()
        yield mention if factor == 1 else _scaled(text, mention, Decimal(factor), end)


def _scaled(text: str, mention: Mention, factor: Decimal, end: int) -> Mention:
    readings = tuple((reading[0] * factor,) for reading in mention.readings if len(reading) == 1)
    written = text[mention.start : end]
    is_letter = len(text[mention.end : end].rstrip(".")) == 1
    also = mention.readings if is_letter or not readings else ()  # "5m" is 5 million or 5 metres
    return replace(mention, written=written, readings=(*readings, *also), end=end, factor=factor)


def _joined(text: str, found: Sequence[Mention], lexicon: Lexicon) -> Iterator[Mention]:
    """Yield the numbers of a language that joins digits and multipliers: 1억 2천만, 9.1万."""
    unit = re.compile(rf"[{SPACES}]?({'|'.join(map(re.escape, lexicon.multipliers.words))})")
    by_start = {mention.start: mention for mention in found}
    done = 0
    for mention in found:
        if mention.start < done:
            continue
        items, done = _items(text, mention, unit, by_start, lexicon)
        if len(items) == 1:
            yield mention
        else:
            factor = next(item.value for item in reversed(items) if item.is_multiplier)
            reading = (_composed(items, _BIG_ATTACHED),)
            yield replace(mention, written=text[mention.start : done], readings=(reading,), end=done, factor=factor)


def _items(
    text: str, mention: Mention, unit: re.Pattern[str], by_start: Mapping[int, Mention], lexicon: Lexicon
) -> tuple[list[_Item], int]:
    """Return the numbers and multipliers that begin with `mention` and belong together, and their end."""
    items, end = [_Item(mention.value, is_multiplier=False)], mention.end
    while True:
        after = by_start.get(end) or by_start.get(end + 1)
        if (match := unit.match(text, end)) and not text.startswith(lexicon.not_multipliers, match.start(1)):
            items.append(_Item(Decimal(lexicon.multipliers.get(match.group(1)) or 1), is_multiplier=True))
            end = match.end()
        elif len(items) > 1 and after and not text[end : after.start].strip(SPACES) and _continues(text, after, unit):
            items.append(_Item(after.value, is_multiplier=False))
            end = after.end
        else:
            return items, end


def _continues(text: str, mention: Mention, unit: re.Pattern[str]) -> bool:
    """Return whether a number after a multiplier continues it: it has a multiplier itself, or four digits."""
    return unit.match(text, mention.end) is not None or len(mention.written) == 4


def _composed(items: Sequence[_Item], big: int) -> Decimal:
    """Return the value of numbers and multipliers in order: 1, 10^8, 2, 1000, 10^4 is 120,000,000."""
    total, section, digit = Decimal(0), Decimal(0), None
    for value, is_multiplier in items:
        if not is_multiplier:
            adds = digit is not None and (digit >= 10 or value == 10)
            digit = value if digit is None else digit + value if adds else digit * 10 + value
        elif value < big:
            section, digit = section + (1 if digit is None else digit) * value, None
        elif base := section + (digit or 0):
            total, section, digit = total + base * value, Decimal(0), None
        else:
            total = (total or 1) * value
    return total + section + (digit or 0)


def _with_ranges(text: str, found: Sequence[Mention], lexicon: Lexicon) -> Iterator[Mention]:
    """Yield the numbers with what they are beside their neighbours: 5 million in "5-6 million", 1996 in "1995-96"."""
    neighbours = zip([None, *found], found, [*found[1:], None], strict=False)
    for before, mention, after in neighbours:
        more: list[Reading] = []
        gap = text[mention.end : after.start].strip() if after else ""
        if after and after.factor > mention.factor and _RANGE.fullmatch(gap):
            more += [(reading[0] * after.factor / mention.factor,) for reading in mention.readings]
        if after and gap in lexicon.centuries:
            more.append((_decade(mention, after),))
        gap = text[before.end : mention.start].strip() if before else ""
        if before and gap in lexicon.centuries:
            more.append((_decade(before, mention),))
        if before and gap in _DASHES and len(before.written) == 4 and len(mention.written) == 2:
            more.append((before.readings[0][0] // 100 * 100 + mention.readings[0][0],))
        yield replace(mention, readings=(*mention.readings, *more))


def _decade(century: Mention, decade: Mention) -> Decimal:
    return (century.readings[0][0] - 1) * 100 + decade.readings[0][0]


def _in_era(text: str, mention: Mention, lexicon: Lexicon) -> Mention:
    for era, before in lexicon.eras.items():
        if text[: mention.start].endswith(era):
            return replace(mention, readings=(*mention.readings, (mention.readings[0][0] + before,)))
    return mention


def _spaced_words(text: str, lexicon: Lexicon) -> Iterator[Mention]:
    """Yield the number words of a language with spaces, e.g. "twenty-five", "two hundred"."""
    items: list[_Item] = []
    start = end = 0
    for match in _WORD.finditer(text):
        number, multiplier = lexicon.numbers.get(match.group()), lexicon.multipliers.get(match.group())
        if items and not (text[end : match.start()] in (" ", "-") and _adds(items, number, multiplier)):
            yield _word(text, items, start, end)
            items = []
        if number is not None or (multiplier is not None and (items or len(match.group()) > 3)):
            start, end = start if items else match.start(), match.end()
            items.append(
                _Item(Decimal(number if number is not None else multiplier or 0), is_multiplier=number is None)
            )
    if items:
        yield _word(text, items, start, end)


def _adds(items: Sequence[_Item], number: int | None, multiplier: int | None) -> bool:
    """Return whether a word continues a number: "hundred" after "two", "five" after "twenty", Arabic ten after five."""
    if number is None:
        return multiplier is not None
    if number == 10:
        return not items[-1].is_multiplier and items[-1].value < 10
    return items[-1].is_multiplier or (items[-1].value >= 10 and items[-1].value % 10 == 0 and number < 10)


def _word(text: str, items: Sequence[_Item], start: int, end: int) -> Mention:
    certain = not items[0].is_multiplier or len(items) > 1
    readings = ((_composed(items, _BIG),),)
    factor = math.prod([item.value for item in items if item.is_multiplier], start=Decimal(1))
    return Mention(text[start:end], readings, start, end, in_digits=False, factor=factor, is_certain=certain)


def _attached_words(text: str, lexicon: Lexicon) -> Iterator[Mention]:
    """Yield the number words of a language without spaces around them, e.g. 三千六百."""
    words = sorted([*lexicon.numbers.words, *lexicon.multipliers.words], key=len, reverse=True)
    word = re.compile("|".join(map(re.escape, words)))
    for phrase in re.finditer(rf"(?:{word.pattern})+", text):
        items = [
            _Item(Decimal(multiplier if number is None else number), is_multiplier=number is None)
            for part in word.findall(phrase.group())
            for number, multiplier in [(lexicon.numbers.get(part), lexicon.multipliers.get(part) or 0)]
        ]
        reading = (_composed(items, _BIG_ATTACHED),)
        certain = len(items) > 1
        yield Mention(phrase.group(), (reading,), phrase.start(), phrase.end(), in_digits=False, is_certain=certain)


def _loose(word: str, lexicon: Lexicon) -> list[int]:
    """Return the numbers that a word may mean; in an attached language, that its beginnings may mean."""
    entries = lexicon.loose.words if lexicon.is_attached else [word]
    numbers = [lexicon.loose.get(entry) for entry in entries if word.startswith(entry)]
    return [number for number in numbers if number is not None]
