"""The answer, the passages it cites and the passages that were read: without a judge, by the text of the references.

A passage is evidence if a reference occurs in it as the generator read it (`answer_recall`)."""

from __future__ import annotations

from collections.abc import Sequence

from qttrag.evaluation.metrics import answer_recall
from qttrag.evaluation.metrics.base import AnswerCase, Value, measure
from qttrag.pipeline import citations


@measure("in_passages", signature="answer-in-passages|read|words-in-a-row")
def in_passages(case: AnswerCase) -> float | None:
    """Return whether the words of the answer stand in a passage that was read; None for abstentions and no passages."""
    if case.answer.abstained or not case.prediction or not case.answer.context:
        return None
    texts = {n: answer_recall.text_as_read(passage) for n, passage in enumerate(case.answer.context, 1)}
    return float(bool(citations.containing(citations.check(case.prediction, texts).bare, texts)))


@measure("citation_precision", signature="citation-precision|marked|evidence:reference", references=True)
def citation_precision(case: AnswerCase) -> Value:
    """Return how many of the passages that the answer cites have a reference."""
    cited = _marked(case)
    evidence = _evidence(case)
    return (float(sum(evidence[n - 1] for n in cited)), float(len(cited))) if cited else None


@measure("citation_recall", signature="citation-recall|marked|evidence:reference", references=True)
def citation_recall(case: AnswerCase) -> float | None:
    """Return whether the answer cites a passage with a reference; None if it has no markers, or none was read."""
    cited = _marked(case)
    evidence = _evidence(case)
    return float(any(evidence[n - 1] for n in cited)) if cited and any(evidence) else None


def _marked(case: AnswerCase) -> Sequence[int]:
    found = citations.check(case.prediction, dict.fromkeys(range(1, len(case.answer.context) + 1), "")).citations
    return found.passages if found.how == "marked" else ()


def _evidence(case: AnswerCase) -> list[bool]:
    return [answer_recall.as_read(passage, case.question).has_answer for passage in case.answer.context]
