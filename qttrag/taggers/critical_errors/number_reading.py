"""What the digits of a text state: digits of any script, separators of any locale."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from decimal import Decimal

Reading = tuple[Decimal, ...]
"""The values that a number states together: one, or hour and minute, or day, month and year."""

SPACES = " \u00a0\u202f\u2009"
_NUMBER = re.compile(rf"\d+(?:[.,٫٬،:'’]\d+|[{SPACES}]\d{{3}}(?!\d))*")
_IN_NAME = re.compile(r"(?:covid|ковид|كوفيد|โควิด)\w{0,3}[-\s]?$", re.IGNORECASE)
_IGNORED = re.compile(
    r"\b(?:CO2|H2O|O2|N2|SO2|NO2)\b|(?<![^\W\d_])[^\W\d_]?[mмم][23](?!\w)|https?://\S+", re.IGNORECASE
)
_ROMAN = re.compile(r"\b[IVX]{1,5}(?=(?:e|er|ème)?\b)")
_ROMAN_VALUES = {"I": 1, "V": 5, "X": 10}
_WIDE = str.maketrans("．，：％", ".,:%")


@dataclass(frozen=True, slots=True)
class Mention:
    """A number in a text. `readings`: the alternatives.

    `in_digits`: it is written in digits. `factor`: of its multiplier. `is_certain`: not a word with other meanings."""

    written: str
    readings: tuple[Reading, ...]
    start: int
    end: int
    in_digits: bool = True
    factor: Decimal = Decimal(1)
    is_certain: bool = True

    @property
    def value(self) -> Decimal:
        """Return the value that a multiplier multiplies."""
        return next((reading[0] for reading in self.readings if len(reading) == 1), self.readings[0][0])


def plain(text: str) -> str:
    """Return a text of the same length in ASCII digits, with spaces in place of formulas, units and addresses."""
    digits = "".join(str(unicodedata.decimal(c)) if c.isdecimal() else c for c in text.translate(_WIDE))
    return _IGNORED.sub(lambda match: " " * len(match.group()), digits)


def lowered(text: str) -> str:
    """Return a text of the same length in lower case."""
    return "".join(low if len(low := character.lower()) == 1 else character for character in text)


def in_digits(text: str) -> list[Mention]:
    """Return the numbers in digits of a plain text.

    In a name that a language may have without its number (COVID-19), a number counts as a word."""
    return [
        Mention(
            match.group(),
            tuple(_readings(match.group())),
            match.start(),
            match.end(),
            in_digits=_IN_NAME.search(text, max(0, match.start() - 12), match.start()) is None,
        )
        for match in _NUMBER.finditer(text)
    ]


def roman_numerals(text: str) -> set[Decimal]:
    """Return the values of words that may be Roman numerals, as in "XVIIIe siècle"."""
    return {Decimal(_roman(match.group())) for match in _ROMAN.finditer(text)}


def _readings(written: str) -> list[Reading]:
    parts, separators = re.split(r"\D", written), re.sub(r"\d", "", written)
    if not separators:
        is_time = len(written) == 4 and written[0] == "0"  # 0230 UTC
        return [(Decimal(written),), *([(Decimal(written[:2]), Decimal(written[2:]))] if is_time else [])]
    readings: list[Reading] = [tuple(value for part in parts if (value := Decimal(part))) or (Decimal(0),)]
    if ":" in separators:
        return readings
    last, whole = separators[-1], Decimal("".join(parts))
    if len(set(separators)) == 1 and len(parts[0]) <= 3 and all(len(part) == 3 for part in parts[1:]):
        readings = [(whole,)]
    elif last == "," and len(parts[-1]) == 3 and all(len(part) in (2, 3) for part in parts[1:]):
        readings.append((whole,))  # 1,00,000
    if last not in SPACES and last not in separators[:-1]:
        readings.append((Decimal(f"{''.join(parts[:-1])}.{parts[-1]}"),))
    return readings


def _roman(numeral: str) -> int:
    values = [_ROMAN_VALUES[letter] for letter in numeral]
    return sum(-v if v < max(values[n + 1 :], default=0) else v for n, v in enumerate(values))
