"""r_lang: the share of passages that are not in the language of the question (arXiv:2510.23070)."""

from __future__ import annotations

from collections.abc import Sequence

from qttrag.evaluation.metrics.base import AnswerCase, measure


@measure("r_lang", signature="r_lang|read", less=True)
def r_lang(case: AnswerCase) -> tuple[float, float]:
    context = case.answer.context
    return foreign([p.passage.lang for p in context], case.question.lang, len(context))


def foreign(langs: Sequence[str | None], lang: str, k: int) -> tuple[int, int]:
    """Return how many of the first `k` passages are not in `lang`, and how many there are.

    Scripts and regions of a language ("zh-Hant" and "zh") are the same language; None is another language."""
    first = langs[:k]
    return sum(each is None or each.split("-")[0] != lang.split("-")[0] for each in first), len(first)
