"""Entities of the question that a refinement adds to a passage: DKM-RAG's hallucination, counted by hand in the paper.

Entities are detected by form: numbers, capitalised words after the first, and, in scripts without capitals, words that
few other questions have. A word occurs in a text if its beginning does, because endings vary. Languages without spaces
between words are not measured."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Iterable, Sequence

from qttrag.evaluation.metrics.base import AnswerCase, QuestionSet, measure
from qttrag.text.languages import SPACELESS
from qttrag.text.matching import contains, normalise
from qttrag.types import Lang, TaggedPassage

_COMMON = 0.02  # a word in more than this share of the questions is not a name
_ENDING = 2  # letters that may be an ending, in a word of at least five; one letter in a shorter word


@measure("entities_added", signature="entities-added|of:refined", less=True)
def entities_added(case: AnswerCase) -> tuple[float, float] | None:
    names = entities(case.question.text, case.question.lang, _common_words_of(case.question_set))
    if names is None:
        return None
    refined = [adds for p in case.answer.context if (adds := added(names, p)) is not None]
    return (sum(refined), len(refined)) if refined else None


@functools.lru_cache(maxsize=1)  # the answers of one question set are scored in turn
def _common_words_of(question_set: QuestionSet) -> frozenset[str]:
    return common_words(question.text for question in question_set.questions)


def common_words(questions: Iterable[str]) -> frozenset[str]:
    """Return the words, case-folded, that occur in more than 2 % of the questions, and in at least two."""
    words_by_question = [set(normalise(question).split()) for question in questions]
    counts = Counter(word for words in words_by_question for word in words)
    return frozenset(word for word, n in counts.items() if n > max(1, _COMMON * len(words_by_question)))


def entities(question: str, lang: Lang, common: frozenset[str]) -> list[str] | None:
    """Return the entities of a question, None in a language without spaces between words."""
    if lang in SPACELESS:
        return None
    cased = any(character.islower() for character in question)
    names = []
    for number, word in enumerate(question.split()):
        normal = normalise(word)
        is_name = any(c.isdecimal() for c in normal) or (
            not cased or (number > 0 and word.strip("\"'«„“”(")[:1].isupper())
        )
        if len(normal) > 1 and is_name and normal not in common:
            names.append(normal)
    return list(dict.fromkeys(names))


def added(names: Sequence[str], passage: TaggedPassage) -> bool | None:
    """Return whether the refinement has a name that neither the passage nor its translation has; None if unrefined."""
    if passage.refined is None:
        return None
    source = f"{passage.passage.content}\n{passage.translation or ''}"
    stems = [
        name if name[-1].isdecimal() else name[: max(2, len(name) - (_ENDING if len(name) > 4 else 1))]
        for name in names
    ]
    return any(contains(passage.refined, [stem]) and not contains(source, [stem]) for stem in stems)
