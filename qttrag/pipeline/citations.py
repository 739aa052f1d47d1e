"""Determines the passages that support an answer: its [n] markers, or else the passages that contain its words."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

from qttrag.text.normalization import for_matching
from qttrag.text.sanitization import CLOSING_BRACKETS, OPENING_BRACKETS
from qttrag.types import Citations

_OPENING, _CLOSING = re.escape(OPENING_BRACKETS), re.escape(CLOSING_BRACKETS)
_MARKER = re.compile(rf"\s*[{_OPENING}]\s*(\d{{1,4}}(?:\s*[,;、，]\s*\d{{1,4}})*)\s*[{_CLOSING}]")
_MIN_CHARACTERS = 2  # letters and digits; a single one is in nearly every passage


class CheckedAnswer(NamedTuple):
    """`text`: the answer with its valid markers only. `bare`: the answer without any marker."""

    text: str
    citations: Citations
    bare: str


def check(text: str, passages: Mapping[int, str]) -> CheckedAnswer:
    """Read the markers of an answer. `passages`: the texts that the generator read, by number.

    Without a valid marker, the passages that contain the words of the answer are cited."""
    valid: list[int] = []
    unknown: list[int] = []

    def sort(match: re.Match[str]) -> str:
        numbers = [int(number) for number in re.findall(r"\d+", match.group(1))]
        known = [number for number in numbers if number in passages]
        valid.extend(known)
        unknown.extend(number for number in numbers if number not in passages)
        if known == numbers:
            return match.group(0)
        return f" [{', '.join(map(str, known))}]" if known else ""

    cleaned = _MARKER.sub(sort, text).strip()
    bare = _MARKER.sub("", text).strip()
    citations = Citations(tuple(dict.fromkeys(valid)), "marked" if valid else None, tuple(dict.fromkeys(unknown)))
    if not valid and (found := containing(bare, passages)):
        citations = replace(citations, passages=found, how="found")
    return CheckedAnswer(cleaned, citations, bare)


def containing(answer: str, passages: Mapping[int, str]) -> tuple[int, ...]:
    """Return the numbers of the passages that contain the words of the answer in a row."""
    words = plain(answer)
    if sum(c.isalnum() for c in words) < _MIN_CHARACTERS:
        return ()
    # a number must be whole: "19" is not in "1903"
    before, after = (r"(?<!\d)" if words[0].isdigit() else ""), (r"(?!\d)" if words[-1].isdigit() else "")
    pattern = re.compile(before + re.escape(words) + after)
    return tuple(number for number, body in passages.items() if pattern.search(plain(body)))


def plain(text: str) -> str:
    """Return the text as `for_matching` does, reduced to letters, digits and single spaces."""
    folded = for_matching(text)
    return " ".join("".join(c if c.isalnum() or unicodedata.category(c)[0] == "M" else " " for c in folded).split())
