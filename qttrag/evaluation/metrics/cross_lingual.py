"""r_lang: the share of passages that are not in the language of the question (arXiv:2510.23070)."""

from __future__ import annotations

from collections.abc import Sequence

from qttrag.evaluation.metrics.base import AnswerCase, measure
from qttrag.types import UNDETERMINED


@measure("r_lang", signature="r_lang|read|of:known", less=True)
def r_lang(case: AnswerCase) -> tuple[float, float]:
    context = case.answer.context
    return foreign([p.passage.lang for p in context], case.question.lang, len(context))


def foreign(langs: Sequence[str | None], lang: str, k: int) -> tuple[int, int]:
    """Return how many of the first `k` passages are not in `lang`, of how many whose language is known.

    Scripts and regions of a language ("zh-Hant" and "zh") are the same language; the language None is unknown."""
    known = [each for each in langs[:k] if each not in (None, UNDETERMINED)]
    return sum(each is not None and each.split("-")[0] != lang.split("-")[0] for each in known), len(known)
