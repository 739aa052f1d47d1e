"""Measures that treat all languages alike.

Texts are compared after NFKC, case folding and removal of punctuation; no language's articles are special. 3-grams are
those of the whole string without white space, so that spacing ("서울 시", "北 京") does not count; a reference shorter
than three characters is one gram. A reference of punctuation alone stays as it is, so none becomes empty."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from qttrag.evaluation.metrics.base import AnswerCase, measure
from qttrag.text.matching import contains_normalised, normalise

_GRAM = 3


@measure("char3_fair", signature="char3|norm:nfkc|grams:string", references=True)
def char3(case: AnswerCase) -> float:
    return _scores(case).char3


@measure("em_fair", signature="em|norm:nfkc", references=True)
def em(case: AnswerCase) -> float:
    return _scores(case).em


@measure("match_fair", signature="match|norm:nfkc|at:word-start", references=True)
def match(case: AnswerCase) -> float:
    return _scores(case).match


class LanguageNeutralScores(NamedTuple):
    """Each in [0, 1], and each the best over the references independently."""

    match: float
    em: float
    char3: float


@functools.lru_cache(maxsize=1)  # three measures of one answer are asked for in turn
def _scores(case: AnswerCase) -> LanguageNeutralScores:
    return score(case.prediction, case.question.answers)


def score(prediction: str, references: Sequence[str]) -> LanguageNeutralScores:
    """Return all scores of a prediction against at least one reference.

    char3: the share of a reference's character 3-grams that the prediction has, counted with repetitions.
    match: whether the prediction contains a reference, as `qttrag.text.matching.contains` defines it."""
    predicted = normalise(prediction)
    expected = [normalise(reference) for reference in references]
    return LanguageNeutralScores(
        match=float(any(contains_normalised(predicted, reference) for reference in expected)),
        em=float(any(_unspaced(predicted) == _unspaced(reference) for reference in expected)),
        char3=max(_gram_recall(_unspaced(predicted), _unspaced(reference)) for reference in expected),
    )


def _unspaced(text: str) -> str:
    return "".join(text.split())


def _gram_recall(predicted: str, expected: str) -> float:
    size = min(_GRAM, len(expected))
    if size == 0:
        return 0.0
    expected_grams = _grams(expected, size)
    return (_grams(predicted, size) & expected_grams).total() / expected_grams.total()


def _grams(text: str, size: int) -> Counter[str]:
    return Counter([text[start : start + size] for start in range(len(text) - size + 1)])
