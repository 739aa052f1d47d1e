"""Nugget recall: how many of the facts of a complete answer are in the answer, and in the passages that were read.

A fact is there if one of its wordings is, after NFKC and case folding, as a reference is for `match_fair`."""

from __future__ import annotations

from qttrag.evaluation.metrics import answer_recall
from qttrag.evaluation.metrics.base import AnswerCase, Value, measure
from qttrag.text.matching import contains


@measure("nugget_recall", signature="nugget-recall|answer|match:nfkc|of:nuggets")
def nugget_recall(case: AnswerCase) -> Value:
    return _recall(case, case.prediction)


@measure("nugget_recall_read", signature="nugget-recall|read|match:nfkc|of:nuggets")
def nugget_recall_read(case: AnswerCase) -> Value:
    """Return how many facts the passages have as the generator read them: what the answer could have had."""
    return _recall(case, "\n".join(map(answer_recall.text_as_read, case.answer.context)))


def _recall(case: AnswerCase, text: str) -> Value:
    nuggets = case.question.nuggets
    found = sum(contains(text, wordings) for wordings in nuggets)
    return (float(found), float(len(nuggets))) if nuggets else None
