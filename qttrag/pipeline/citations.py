"""Which passages an answer rests on: its own [n] markers, checked, or the passages that hold its words."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

from qttrag.types import Citations

_MARKER = re.compile(r"\s*[\[［【]\s*(\d{1,4}(?:\s*[,;、，]\s*\d{1,4})*)\s*[\]］】]")
_SHORTEST = 2  # letters and digits; a single one is in every passage


class Checked(NamedTuple):
    """An answer without markers that name no passage, the citations, and the answer without any marker."""

    text: str
    citations: Citations
    bare: str


def check(text: str, given: Mapping[int, str]) -> Checked:
    """Read the markers of an answer. `given`: the passages it was made from, by number, as they were read.

    Where there is no valid one, the passages that hold the answer's words are cited instead."""
    found: list[int] = []
    unknown: list[int] = []

    def sort(match: re.Match[str]) -> str:
        numbers = [int(number) for number in re.findall(r"\d+", match.group(1))]
        known = [number for number in numbers if number in given]
        found.extend(known)
        unknown.extend(number for number in numbers if number not in given)
        if known == numbers:
            return match.group(0)
        return f" [{', '.join(map(str, known))}]" if known else ""

    kept = _MARKER.sub(sort, text).strip()
    bare = _MARKER.sub("", text).strip()
    citations = Citations(tuple(dict.fromkeys(found)), "marked" if found else None, tuple(dict.fromkeys(unknown)))
    if not found and (holding := _holding(bare, given)):
        citations = replace(citations, passages=holding, how="found")
    return Checked(kept, citations, bare)


def _holding(answer: str, given: Mapping[int, str]) -> tuple[int, ...]:
    words = plain(answer)
    if sum(c.isalnum() for c in words) < _SHORTEST:
        return ()
    # digits must not go on: "19" is not in "1903"
    pattern = re.compile((r"(?<!\d)" if words[0].isdigit() else "") + re.escape(words) + _end(words))
    return tuple(number for number, body in given.items() if pattern.search(plain(body)))


def _end(words: str) -> str:
    return r"(?!\d)" if words[-1].isdigit() else ""


def plain(text: str) -> str:
    """Return a text in which only letters, digits and single spaces are left, in small letters."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    return " ".join("".join(c if c.isalnum() or unicodedata.category(c)[0] == "M" else " " for c in folded).split())
