"""Measures that treat every language alike, beside those of the research harness.

Texts are compared after NFKC and case folding, punctuation being white space; no language's articles are special.
Grams are of the whole string without its white space, so that spacing ("서울 시", "北 京") does not count; a reference
shorter than a gram is looked for as it is. One of punctuation alone stays as it is; none becomes empty."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from qttrag.text.scripts import script_of

_GRAM = 3
_SPACELESS = frozenset(("Hani", "Kana", "Thai", "Laoo", "Khmr", "Mymr", "Tibt"))


class Scores(NamedTuple):
    """Each in [0, 1], and each the best over the references on its own."""

    match: float
    em: float
    char3: float


def score(prediction: str, references: Sequence[str]) -> Scores:
    """Return every measure against one reference at least.

    char3: the share of a reference's character 3-grams that the prediction has, repetitions counting.
    match: the prediction contains a reference, as `contains` says."""
    said = normalise(prediction)
    expected = [normalise(reference) for reference in references]
    return Scores(
        match=float(any(_within(reference, said) for reference in expected)),
        em=float(any(_solid(said) == _solid(reference) for reference in expected)),
        char3=max(_recall(_solid(said), _solid(reference)) for reference in expected),
    )


def contains(text: str, references: Sequence[str]) -> bool:
    """Return whether a reference stands in `text`: not beginning within a word, and a number not within a number.

    Endings may follow, for many languages put them there: "Helsinki" stands in "Helsinkiin"."""
    said = normalise(text)
    return any(_within(normalise(reference), said) for reference in references)


class _Table(dict[int, "str | None"]):
    """What becomes of each character, worked out when one is first met."""

    def __missing__(self, point: int) -> str | None:
        category = unicodedata.category(chr(point))
        kept: str | None = chr(point)
        if category == "Cf":  # joiners, marks of direction
            kept = None
        elif category[0] in "PZC":
            kept = " "
        self[point] = kept
        return kept


_TABLE = _Table()


def normalise(text: str) -> str:
    """Return `text` in NFKC, case-folded, single-spaced, without punctuation unless it has nothing else."""
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    return " ".join(folded.translate(_TABLE).split()) or folded.strip()


def _solid(text: str) -> str:
    return "".join(text.split())


def _recall(said: str, expected: str) -> float:
    size = min(_GRAM, len(expected))
    if size == 0:
        return 0.0
    wanted = _grams(expected, size)
    return (_grams(said, size) & wanted).total() / wanted.total()


def _grams(text: str, size: int) -> Counter[str]:
    return Counter([text[start : start + size] for start in range(len(text) - size + 1)])


def _within(reference: str, said: str) -> bool:
    if not reference:
        return False
    start = said.find(reference)
    while start >= 0:
        end = start + len(reference)
        if not _joined(said[start - 1 : start], reference[0]) and not _one_number(reference[-1], said[end : end + 1]):
            return True
        start = said.find(reference, start + 1)
    return False


def _joined(before: str, first: str) -> bool:
    """Return whether a word goes on from one character to the next; in scripts without spaces none does."""
    if not before or not before.isalnum() or not first.isalnum():
        return False
    if before.isdecimal() or first.isdecimal():
        return before.isdecimal() and first.isdecimal()
    return not (_apart(before) or _apart(first))


def _apart(letter: str) -> bool:
    return script_of(letter) in _SPACELESS


def _one_number(last: str, after: str) -> bool:
    return last.isdecimal() and after.isdecimal()
