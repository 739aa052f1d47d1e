"""Cut texts into sentences, split sentences that are too long, and join their translations."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence

from qttrag.types import Lang

_CLAUSE_END = re.compile(r"[,;:]\s+|[、，；：،؛]\s*")
_SPACE = re.compile(r"\s+")
_NARROW = tuple(".!?:;,")  # full-width punctuation includes its space, these do not


def sentences(text: str, lang: Lang) -> list[tuple[str, str]]:
    """Return (sentence, white space after it) pairs; joined, they are `text` without leading white space."""
    import sentencex

    pairs: list[tuple[str, str]] = []
    for segment in sentencex.segment(lang.split("-")[0], text.lstrip()):
        sentence = segment.rstrip()
        if sentence:
            lead = len(sentence) - len(sentence.lstrip())
            if pairs and lead:
                pairs[-1] = (pairs[-1][0], pairs[-1][1] + sentence[:lead])
            pairs.append((sentence[lead:], segment[len(sentence) :]))
        elif pairs:
            pairs[-1] = (pairs[-1][0], pairs[-1][1] + segment)
    return pairs


def split(text: str, fits: Callable[[str], bool]) -> list[str]:
    """Return `text` in parts that fit, by halving it until they do; joined, they are the text.

    A cut is near the middle: after clause punctuation, else at white space, else between characters."""
    if len(text) < 2 or fits(text):
        return [text]
    at = _middle(text)
    return split(text[:at], fits) + split(text[at:], fits)


def _middle(text: str) -> int:
    middle, reach = len(text) / 2, len(text) / 4
    for pattern in (_CLAUSE_END, _SPACE):
        cuts = [match.end() for match in pattern.finditer(text) if abs(match.end() - middle) <= reach]
        if cuts:
            return min(cuts, key=lambda cut: abs(cut - middle))
    at = len(text) // 2
    while at < len(text) - 1 and unicodedata.category(text[at]).startswith("M"):
        at += 1  # not between a letter and its marks
    return at


def join(parts: Sequence[tuple[str, str]], *, spaceless: bool) -> str:
    """Return (translation, white space after the source) pairs as one text.

    Line breaks stay; other white space becomes what the target language writes there."""
    joined = ""
    for text, gap in parts:
        joined += text
        if lines := gap.count("\n"):
            joined += "\n" * lines
        elif text and (not spaceless or text.endswith(_NARROW)):
            joined += " "
    return joined.strip()
