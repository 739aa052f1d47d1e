"""ROUGE-L: the longest common subsequence of words of an answer and a reference, for answers of several sentences."""

from __future__ import annotations

from collections.abc import Sequence

from qttrag.evaluation.metrics.base import AnswerCase, measure
from qttrag.text.matching import words

_LONGEST = 2000  # words of an answer; the rest is not read


@measure("rouge_l", signature="rougeL|f1|norm:nfkc|words:spaces,characters|first:2000|best-reference", references=True)
def rouge_l(case: AnswerCase) -> float:
    return score(case.prediction, case.question.answers)


def score(prediction: str, references: Sequence[str]) -> float:
    """Return the best F1 over the references, in [0, 1].

    Words are separated by spaces; in scripts without spaces, every character is a word."""
    predicted = words(prediction[: _LONGEST * 10])[:_LONGEST]
    return max(_f1(predicted, words(reference)) for reference in references)


def _f1(predicted: Sequence[str], reference: Sequence[str]) -> float:
    common = _longest_common_subsequence(predicted, reference)
    return 2 * common / (len(predicted) + len(reference)) if common else 0.0


def _longest_common_subsequence(one: Sequence[str], other: Sequence[str]) -> int:
    row = [0] * (len(other) + 1)
    for word in one:
        above, row = row, [0]
        for place, each in enumerate(other):
            row.append(above[place] + 1 if word == each else max(above[place + 1], row[place]))
    return row[-1]
