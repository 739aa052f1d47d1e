"""chrF by sacrebleu: a text against references, the best over them."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING

from qttrag.errors import ConfigError
from qttrag.evaluation.metrics.base import AnswerCase, measure

if TYPE_CHECKING:
    from sacrebleu.metrics.chrf import CHRF


@measure("chrf", signature="chrF2|best-reference|sacrebleu", references=True)
def chrf_of_answer(case: AnswerCase) -> float:
    return chrf(case.prediction, case.question.answers)


def chrf(text: str, references: Sequence[str]) -> float:
    """Return chrF2 in [0, 1].

    Raises:
        ConfigError: sacrebleu is not installed."""
    return float(_scorer().sentence_score(text, list(references)).score) / 100


@functools.cache
def _scorer() -> CHRF:
    try:
        from sacrebleu.metrics.chrf import CHRF
    except ModuleNotFoundError as error:
        raise ConfigError(f"chrF needs the package '{error.name}'; pip install 'qttrag[eval]'") from error
    return CHRF()
