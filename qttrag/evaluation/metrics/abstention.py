"""Whether an answer is the prompt's sentence for "not in the passages"."""

from __future__ import annotations

from qttrag.evaluation.metrics.base import AnswerCase, measure


@measure("abstained", signature="abstained|prompt-sentence")
def abstained(case: AnswerCase) -> float | None:
    """Return whether the answer abstains; None for an answer that was recorded without it."""
    return None if case.answer.abstained is None else float(case.answer.abstained)
