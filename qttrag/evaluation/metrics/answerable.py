"""Whether the system abstains where, and only where, the passages do not have the answer.

After NoMIRACL (arXiv:2312.11361): the hallucination rate is the share of questions answered without a relevant passage,
the error rate the share of abstentions among questions with one. There the model is asked whether the passages have the
answer; here the answer itself is judged, by the prompt's sentence for "not in the passages"."""

from __future__ import annotations

from qttrag.evaluation.metrics.base import AnswerCase, measure


@measure("answered_without_evidence", signature="answered|of:unanswerable|prompt-sentence", less=True)
def answered_without_evidence(case: AnswerCase) -> float | None:
    """Return whether a question that its passages do not answer was answered."""
    if case.question.answerable is not False or case.answer.abstained is None:
        return None
    return float(not case.answer.abstained)


@measure("abstained_with_evidence", signature="abstained|of:answerable|prompt-sentence", less=True)
def abstained_with_evidence(case: AnswerCase) -> float | None:
    """Return whether the answer to a question that its passages answer is an abstention."""
    if not case.question.answerable or case.answer.abstained is None:
        return None
    return float(case.answer.abstained)
