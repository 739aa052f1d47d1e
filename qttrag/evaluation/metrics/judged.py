"""Whether a language model calls the answer right, where `qttrag eval judge` asked one. Never the default measure: a
judge's figures depend on the judge, whose agreement with the references is to be read beside them."""

from __future__ import annotations

from qttrag.evaluation.metrics.base import AnswerCase, measure


@measure("judged_right", signature="judged-right|llm")
def judged_right(case: AnswerCase) -> float | None:
    return None if case.judged is None else float(case.judged)
