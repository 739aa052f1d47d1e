"""CoCo-CoLa, correct concept and correct language (arXiv:2502.12476): right answers in the language of the question,
beside right answers in English.

As in the released code: over the questions whose answers in the two languages differ when case is ignored, accuracy is
the share of predictions that contain an answer or are contained in one. Cumulative accuracy is the sum of the
accuracies in both languages, so it may exceed 100 %, and the ratio is the part of the language asked for in that sum.
There, a question has one answer; here, it may have several, and those that have one in common are left out. An empty
prediction is contained in nothing here."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import NamedTuple

from qttrag.evaluation.metrics.base import AnswerCase, Value, measure
from qttrag.types import Lang

_ENGLISH = Lang("en")
_SIGNATURE = "other:en|match:lower-case,either-contains|alike:left-out"


class _Right(NamedTuple):
    """1 if the prediction is right in the language of the question, and in English; else 0."""

    own: float
    english: float


@measure("cocola_ratio", signature=f"cocola-ratio|{_SIGNATURE}|of:right", references=True)
def cocola_ratio(case: AnswerCase) -> Value:
    right = _right(case)
    return None if right is None else (right.own, right.own + right.english)


@measure("cocola_cumulative", signature=f"cocola-cumulative-accuracy|{_SIGNATURE}", references=True)
def cocola_cumulative(case: AnswerCase) -> float | None:
    right = _right(case)
    return None if right is None else right.own + right.english


@functools.lru_cache(maxsize=1)  # two measures of one answer are asked for in turn
def _right(case: AnswerCase) -> _Right | None:
    """Return None for questions in English, without answers in English, or with an answer that is alike in both."""
    own, english = map(_lower, (case.question.answers, case.question.elsewhere.get(_ENGLISH, ())))
    if case.question.lang == _ENGLISH or not english or not own.isdisjoint(english):
        return None
    prediction = case.prediction.strip().lower()
    return _Right(*(float(any(_either_contains(prediction, each) for each in texts)) for texts in (own, english)))


def _lower(texts: Sequence[str]) -> frozenset[str]:
    return frozenset(text.strip().lower() for text in texts if text.strip())


def _either_contains(prediction: str, answer: str) -> bool:
    return bool(prediction) and (prediction in answer or answer in prediction)
