"""Answer recall@k: whether the gold answer stands in the first k passages, by the language they are read in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from qttrag.evaluation.metrics.language_neutral import contains


class Holds(NamedTuple):
    """A passage. `native`: it was in the question's language from the beginning."""

    native: bool
    answer: bool


def holds(
    text: str, lang: str, question_lang: str, answers: Sequence[str], elsewhere: Mapping[str, Sequence[str]]
) -> Holds:
    """Return whether `text`, in `lang`, holds the answer as it is put in `lang` or in the question's language."""
    own, asked = lang.split("-")[0], question_lang.split("-")[0]
    known = [*answers, *(t for code, texts in elsewhere.items() if code.split("-")[0] == own for t in texts)]
    return Holds(own == asked, contains(text, known))


def recall(found: Sequence[Holds], k: int, *, native: bool | None = None) -> bool:
    """Return whether one of the first `k` holds the answer; `native`: counting only such passages, or only others."""
    return any(each.answer and native in (None, each.native) for each in found[:k])
