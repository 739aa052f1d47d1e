"""The share of an answer's sentences that a passage supports, where `qttrag eval support` asked a judge: any passage,
one in the language of the question, one in another language. Never the default measure: the figures depend on the
judge, whose agreement with labelled data (`qttrag eval support-judge`) is to be read beside them.

The language of a passage is that of its original. A sentence is left out if no passage of the kind supports it and the
judge could not decide about one; an answer is left out if it read no passage of the kind."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from qttrag.evaluation.metrics.base import AnswerCase, Value, measure
from qttrag.evaluation.metrics.cross_lingual import foreign
from qttrag.types import UNDETERMINED

_SIGNATURE = "of:sentences|judge:any-language|alone:with-question"


@measure("supported", signature=f"supported|by:any|{_SIGNATURE}")
def supported(case: AnswerCase) -> Value:
    return _share(case, lambda lang: True)


@measure("supported_native", signature=f"supported|by:native|{_SIGNATURE}")
def supported_native(case: AnswerCase) -> Value:
    return _share(case, lambda lang: lang != UNDETERMINED and not _is_foreign(lang, case))


@measure("supported_foreign", signature=f"supported|by:foreign|{_SIGNATURE}")
def supported_foreign(case: AnswerCase) -> Value:
    return _share(case, lambda lang: _is_foreign(lang, case))


def _is_foreign(lang: str, case: AnswerCase) -> bool:
    return bool(foreign([lang], case.question.lang, 1)[0])


def _share(case: AnswerCase, counts: Callable[[str], bool]) -> Value:
    chosen = [n for n, passage in enumerate(case.answer.context) if counts(passage.passage.lang)]
    if case.support is None or not chosen:
        return None
    decided = [verdict for row in case.support if (verdict := _any([row[n] for n in chosen])) is not None]
    return (float(sum(decided)), float(len(decided))) if decided else None


def _any(verdicts: Sequence[bool | None]) -> bool | None:
    """Return whether one is true; None if none is and one is undecided."""
    return True if True in verdicts else None if None in verdicts else False
