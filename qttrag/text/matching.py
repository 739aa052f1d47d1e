"""Compare texts and find answers in them alike in every language, whatever their spelling, case and spacing."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

from qttrag.text.scripts import script_of

_SPACELESS = frozenset(("Hani", "Kana", "Thai", "Laoo", "Khmr", "Mymr", "Tibt"))


class _CharacterTable(dict[int, "str | None"]):
    """A table for `str.translate` that is filled when a character first occurs."""

    def __missing__(self, point: int) -> str | None:
        category = unicodedata.category(chr(point))
        replacement: str | None = chr(point)
        if category == "Cf":  # joiners, direction marks
            replacement = None
        elif category[0] in "PZC":
            replacement = " "
        self[point] = replacement
        return replacement


_TABLE = _CharacterTable()


def normalise(text: str) -> str:
    """Return `text` in NFKC, case-folded, single-spaced, without punctuation unless it has nothing else.

    Measures with "nfkc" in their signature are defined by it; other comparisons use `qttrag.text.normalization`."""
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    return " ".join(folded.translate(_TABLE).split()) or folded.strip()


def contains(text: str, references: Sequence[str]) -> bool:
    """Return whether `text` contains a reference that starts at the start of a word and cuts no number.

    An ending may follow, because many languages add endings: "Helsinkiin" contains "Helsinki"."""
    normal = normalise(text)
    return any(contains_normalised(normal, normalise(reference)) for reference in references)


def contains_normalised(text: str, reference: str) -> bool:
    """Return what `contains` returns, for two texts that are normalised already; nothing contains an empty one."""
    if not reference:
        return False
    start = text.find(reference)
    while start >= 0:
        end = start + len(reference)
        if not _in_one_word(text[start - 1 : start], reference[0]) and not _in_one_number(
            reference[-1], text[end : end + 1]
        ):
            return True
        start = text.find(reference, start + 1)
    return False


def similarity(one: str, other: str) -> float:
    """Return how alike two texts are, from 0 to 1: Dice's coefficient of their pairs of neighbouring characters."""
    pairs = [Counter(pairwise(f" {normalise(text)} ")) for text in (one, other)]
    return 2 * (pairs[0] & pairs[1]).total() / (pairs[0].total() + pairs[1].total())


def words(text: str) -> list[str]:
    """Return the words of a text as `normalise` writes them; in scripts without spaces, every character is a word."""
    spaced = "".join(f" {c} " if c.isalpha() and is_spaceless(c) else c for c in normalise(text))
    return spaced.split()


def _in_one_word(before: str, first: str) -> bool:
    """Return whether two neighbouring characters belong to one word; in scripts without spaces they never do."""
    if not before or not before.isalnum() or not first.isalnum():
        return False
    if before.isdecimal() or first.isdecimal():
        return before.isdecimal() and first.isdecimal()
    return not (is_spaceless(before) or is_spaceless(first))


def is_spaceless(letter: str) -> bool:
    """Return whether a letter is of a script that writes no spaces between words."""
    return script_of(letter) in _SPACELESS


def _in_one_number(last: str, after: str) -> bool:
    return last.isdecimal() and after.isdecimal()
