"""Answer recall@k: whether one of the first k passages contains a reference answer, as the generator read them."""

from __future__ import annotations

import functools
from collections.abc import Sequence

from qttrag.evaluation.datasets.questions import Question
from qttrag.evaluation.metrics.base import AnswerCase, PassageMatch, measure
from qttrag.text.matching import contains
from qttrag.types import TaggedPassage


@measure("answer_recall@1", signature="answer-recall@1|read|match:nfkc", references=True)
def at_1(case: AnswerCase) -> float:
    return recall(_context_matches(case), 1)


@measure("answer_recall@5", signature="answer-recall@5|read|match:nfkc", references=True)
def at_5(case: AnswerCase) -> float:
    return recall(_context_matches(case), 5)


@measure("answer_recall_native@5", signature="answer-recall@5|read|match:nfkc|passages:native", references=True)
def native_at_5(case: AnswerCase) -> float:
    return recall(_context_matches(case), 5, native=True)


@measure("answer_recall_foreign@5", signature="answer-recall@5|read|match:nfkc|passages:foreign", references=True)
def foreign_at_5(case: AnswerCase) -> float:
    return recall(_context_matches(case), 5, native=False)


@measure("answer_recall_found@50", signature="answer-recall@50|found|match:nfkc", references=True)
def ranked_at_50(case: AnswerCase) -> float | None:
    return None if case.ranked is None else recall(case.ranked, 50)


def match(text: str, lang: str, question: Question) -> PassageMatch:
    """Return whether `text`, of a passage in `lang`, contains a reference in `lang` or in the question's language."""
    own, asked = lang.split("-")[0], question.lang.split("-")[0]
    translated = (t for code, texts in question.elsewhere.items() if code.split("-")[0] == own for t in texts)
    return PassageMatch(own == asked, contains(text, [*question.answers, *translated]))


def recall(matches: Sequence[PassageMatch], k: int, *, native: bool | None = None) -> float:
    """Return 1.0 if one of the first `k` has the answer; `native`: among passages in the question's language only, or
    among the others only."""
    return float(any(each.has_answer and native in (None, each.native) for each in matches[:k]))


@functools.lru_cache(maxsize=1)  # four measures of one answer are asked for in turn
def _context_matches(case: AnswerCase) -> list[PassageMatch]:
    return [as_read(passage, case.question) for passage in case.answer.context]


def as_read(passage: TaggedPassage, question: Question) -> PassageMatch:
    """Return what `match` returns, for a passage as the generator read it."""
    return match(text_as_read(passage), passage.passage.lang, question)


def text_as_read(passage: TaggedPassage) -> str:
    """Return the text that the generator read: of a rewritten passage both texts."""
    return "\n".join(filter(None, (passage.reading_text, passage.refined)))
