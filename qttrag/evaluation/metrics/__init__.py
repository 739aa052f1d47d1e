"""Measures of answers, one file each: functions with `@measure`, from one answer to one value."""

from qttrag.evaluation.metrics.base import AnswerCase, Measure, PassageMatch, QuestionSet, measure

__all__ = ["AnswerCase", "Measure", "PassageMatch", "QuestionSet", "measure"]
