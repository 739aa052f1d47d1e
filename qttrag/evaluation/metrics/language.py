"""Whether an answer is in the language of its question."""

from __future__ import annotations

from collections.abc import Sequence

from qttrag.detectors.script import detect
from qttrag.evaluation.metrics.base import AnswerCase, measure
from qttrag.text.language_check import judge
from qttrag.types import Lang


@measure("correct_language", signature="correct-language|script,fasttext|of:decided|abstentions:no")
def correct_language(case: AnswerCase) -> float | None:
    """Return whether the answer is in the language of the question; None for the prompt's own sentence."""
    if case.answer.abstained:
        return None
    correct = in_language(case.prediction, case.question.lang, case.question.answers)
    return None if correct is None else float(correct)


def in_language(answer: str, lang: Lang, references: Sequence[str]) -> bool | None:
    """Return whether an answer is in `lang`, as the language guard decides; None where it cannot be decided.

    `references`: the gold answers; a name that one of them gives in a foreign script is no wrong language."""
    outcome = judge(answer, lang, detect(answer), references).outcome
    return None if outcome == "cannot tell" else outcome == "right"
