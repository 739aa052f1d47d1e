"""The measures of the research harness BERGEN, matched figure for figure, its oddities included.

Everything is compared after its English normaliser. A reference that normalises to nothing matches everything, and one
shorter than three characters is found only as a word of its own."""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

_PUNCTUATION = frozenset(string.punctuation)
_ARTICLES = re.compile(r"\b(a|an|the)\b")
_GRAM = 3


class Scores(NamedTuple):
    """Each in [0, 1], and each the best over the references on its own."""

    match: float
    em: float
    f1: float
    precision: float
    recall: float
    char3: float


def score(prediction: str, references: Sequence[str]) -> Scores:
    """Return every measure, each best over `references`, of which there must be one at least."""
    said = normalise(prediction)
    expected = [normalise(reference) for reference in references]
    overlaps = [_token_overlap(said.split(), reference.split()) for reference in expected]
    return Scores(
        match=float(any(reference in said for reference in expected)),
        em=float(said in expected),
        f1=max(f1 for f1, _, _ in overlaps),
        precision=max(precision for _, precision, _ in overlaps),
        recall=max(recall for _, _, recall in overlaps),
        char3=max(_char3_recall(said, reference) for reference in expected),
    )


def normalise(text: str) -> str:
    """Return `text` in lower case without ASCII punctuation and English articles, single-spaced."""
    bare = "".join(character for character in text.lower() if character not in _PUNCTUATION)
    return " ".join(_ARTICLES.sub(" ", bare).split())


def _grams(text: str) -> Counter[str]:
    found: Counter[str] = Counter()
    for word in text.split():
        found.update([word] if len(word) < _GRAM else [word[n : n + _GRAM] for n in range(len(word) - _GRAM + 1)])
    return found


def _char3_recall(said: str, expected: str) -> float:
    wanted = _grams(expected)
    return (_grams(said) & wanted).total() / wanted.total() if wanted else 0.0


def _token_overlap(said: Sequence[str], expected: Sequence[str]) -> tuple[float, float, float]:
    common = (Counter(said) & Counter(expected)).total()
    if not common:
        return 0.0, 0.0, 0.0
    precision, recall = common / len(said), common / len(expected)
    return 2 * precision * recall / (precision + recall), precision, recall
