"""The share of translations without quality scores, and the causes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from qttrag.evaluation.answers import AnswerRecord
from qttrag.evaluation.metrics.base import AnswerCase, measure
from qttrag.types import TaggedPassage


@measure("unscored", signature="unscored|of:translations", less=True)
def unscored_share(case: AnswerCase) -> tuple[float, float]:
    causes, tagged = unscored(case.answer.context)
    return causes.total(), tagged


def unscored(context: Sequence[TaggedPassage]) -> tuple[Counter[str], int]:
    """Return the causes of missing scores, and how many translations were to be scored."""
    causes = Counter(passage.unscored for passage in context if passage.unscored is not None)
    return causes, causes.total() + sum(passage.scores is not None for passage in context)


def causes(answers: Iterable[AnswerRecord]) -> Counter[str]:
    """Return how many translations have no scores, by cause, over several answers."""
    total: Counter[str] = Counter()
    for answer in answers:
        total += unscored(answer.context)[0]
    return total
