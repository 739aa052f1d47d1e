"""The measures of the research harness BERGEN, equal to its figures, including its quirks.

Texts are compared after its English normaliser. A reference that normalises to nothing matches everything; one of fewer
than three characters counts only as a word of its own."""

from __future__ import annotations

import functools
import re
import string
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from qttrag.evaluation.metrics.base import AnswerCase, measure

_PUNCTUATION = frozenset(string.punctuation)
_ARTICLES = re.compile(r"\b(a|an|the)\b")
_GRAM = 3


@measure("char3_bergen", signature="char3|norm:bergen", references=True)
def char3(case: AnswerCase) -> float:
    return _scores(case).char3


@measure("f1_bergen", signature="f1|norm:bergen", references=True)
def f1(case: AnswerCase) -> float:
    return _scores(case).f1


@measure("em_bergen", signature="em|norm:bergen", references=True)
def em(case: AnswerCase) -> float:
    return _scores(case).em


@measure("match_bergen", signature="match|norm:bergen", references=True)
def match(case: AnswerCase) -> float:
    return _scores(case).match


class BergenScores(NamedTuple):
    """Each in [0, 1], and each the best over the references independently."""

    match: float
    em: float
    f1: float
    precision: float
    recall: float
    char3: float


@functools.lru_cache(maxsize=1)  # four measures of one answer are asked for in turn
def _scores(case: AnswerCase) -> BergenScores:
    return score(case.prediction, case.question.answers)


def score(prediction: str, references: Sequence[str]) -> BergenScores:
    """Return all scores of a prediction against at least one reference."""
    predicted = normalise(prediction)
    expected = [normalise(reference) for reference in references]
    overlaps = [_token_overlap(predicted.split(), reference.split()) for reference in expected]
    return BergenScores(
        match=float(any(reference in predicted for reference in expected)),
        em=float(predicted in expected),
        f1=max(f1 for f1, _, _ in overlaps),
        precision=max(precision for _, precision, _ in overlaps),
        recall=max(recall for _, _, recall in overlaps),
        char3=max(_char3_recall(predicted, reference) for reference in expected),
    )


def normalise(text: str) -> str:
    """Return `text` in lower case without ASCII punctuation and English articles, single-spaced."""
    bare = "".join(character for character in text.lower() if character not in _PUNCTUATION)
    return " ".join(_ARTICLES.sub(" ", bare).split())


def _grams(text: str) -> Counter[str]:
    grams: Counter[str] = Counter()
    for word in text.split():
        grams.update([word] if len(word) < _GRAM else [word[n : n + _GRAM] for n in range(len(word) - _GRAM + 1)])
    return grams


def _char3_recall(predicted: str, expected: str) -> float:
    expected_grams = _grams(expected)
    return (_grams(predicted) & expected_grams).total() / expected_grams.total() if expected_grams else 0.0


def _token_overlap(predicted: Sequence[str], expected: Sequence[str]) -> tuple[float, float, float]:
    common = (Counter(predicted) & Counter(expected)).total()
    if not common:
        return 0.0, 0.0, 0.0
    precision, recall = common / len(predicted), common / len(expected)
    return 2 * precision * recall / (precision + recall), precision, recall
