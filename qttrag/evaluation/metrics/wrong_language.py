"""Right answers in the wrong language, after CoCo-CoLa (correct concept, correct language; arXiv:2502.12476)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from qttrag.evaluation.metrics.base import AnswerCase, measure
from qttrag.text.matching import contains


@measure("wrong_language", signature="right-in-wrong-language|match:nfkc|of:right", less=True, references=True)
def wrong_language(case: AnswerCase) -> float | None:
    wrong = is_wrong_language(case.prediction, case.question.answers, case.question.elsewhere)
    return None if wrong is None or not case.question.elsewhere else float(wrong)


def is_wrong_language(prediction: str, answers: Sequence[str], elsewhere: Mapping[str, Sequence[str]]) -> bool | None:
    """Return whether the prediction has the answer only in another language; None if it has it in no language.

    `elsewhere`: the answers in other languages. A name that is spelt alike in both is right."""
    if contains(prediction, answers):
        return False
    others = [text for texts in elsewhere.values() for text in texts]
    return True if others and contains(prediction, others) else None
