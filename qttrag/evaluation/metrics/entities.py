"""Entities of the question that a refinement adds to a passage: DKM-RAG's hallucination, counted by hand in the paper.

Entities are detected by form: numbers, capitalised words after the first, and, in scripts without capitals, words that
few other questions have. Without spaces between words, words are those of ICU's dictionaries; neighbouring pieces in
katakana are one word, and so are neighbouring single characters, as the dictionary cuts names that it lacks. Words in
hiragana alone are grammar. A word occurs in a text if its beginning does, because endings vary; one of a script without
spaces has no endings."""

from __future__ import annotations

import functools
import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

import regex

from qttrag.evaluation.metrics.base import AnswerCase, QuestionSet, measure
from qttrag.text.matching import contains, is_spaceless, normalise
from qttrag.text.segmentation import dictionary_words
from qttrag.types import TaggedPassage

_COMMON = 0.02  # a word in more than this share of the questions is not a name
_ENDING = 2  # letters that may be an ending, in a word of at least five; one letter in a shorter word
_RUN = regex.compile(r"[\w\p{M}]+")
_KATAKANA = regex.compile(r"[ァ-ヺー]+")
_HIRAGANA = regex.compile(r"[ぁ-ゖ]+")


@measure("entities_added", signature="entities-added|of:refined|spaceless:icu", less=True)
def entities_added(case: AnswerCase) -> tuple[float, float] | None:
    names = entities(case.question.text, _common_words_of(case.question_set))
    refined = [adds for p in case.answer.context if (adds := added(names, p)) is not None]
    return (sum(refined), len(refined)) if refined else None


@functools.lru_cache(maxsize=1)  # the answers of one question set are scored in turn
def _common_words_of(question_set: QuestionSet) -> frozenset[str]:
    return common_words(question.text for question in question_set.questions)


def common_words(questions: Iterable[str]) -> frozenset[str]:
    """Return the words, case-folded, that occur in more than 2 % of the questions, and in at least two."""
    words_by_question = [set(map(normalise, _words(question))) for question in questions]
    counts = Counter(word for words in words_by_question for word in words)
    return frozenset(word for word, n in counts.items() if n > max(1, _COMMON * len(words_by_question)))


def entities(question: str, common: frozenset[str]) -> list[str]:
    """Return the entities of a question, case-folded, each once. `common`: words that are none."""
    begins_with_capital = all(map(_has_case, filter(str.isalpha, question)))
    names = []
    for number, word in enumerate(_names(question, common)):
        normal = normalise(word)
        capital = word.strip("\"'«„“”(")[:1].isupper() and (number > 0 or not begins_with_capital)
        is_name = capital or any(map(str.isdecimal, normal)) or not any(map(_has_case, normal))
        if len(normal) > 1 and is_name and normal not in common and not _HIRAGANA.fullmatch(normal):
            names.append(normal)
    return list(dict.fromkeys(names))


def added(names: Sequence[str], passage: TaggedPassage) -> bool | None:
    """Return whether the refinement has a name that neither the passage nor its translation has; None if unrefined."""
    if passage.refined is None:
        return None
    source = f"{passage.passage.content}\n{passage.translation or ''}"
    stems = [_stem(name) for name in names]
    return any(contains(passage.refined, [stem]) and not contains(source, [stem]) for stem in stems)


def _stem(name: str) -> str:
    if name[-1].isdecimal() or _is_spaceless(name):
        return name
    return name[: max(2, len(name) - (_ENDING if len(name) > 4 else 1))]


def _words(text: str) -> Iterator[str]:
    for word in text.split():
        yield from dictionary_words(word) if _is_spaceless(word) else (word,)


def _names(question: str, common: frozenset[str]) -> Iterator[str]:
    """Yield the words of a question, with the pieces of one name joined."""
    for word in question.split():
        if not _is_spaceless(word):
            yield word
            continue
        for run in _RUN.findall(word):
            for form, pieces in itertools.groupby(dictionary_words(run), lambda piece: _form(piece, common)):
                words = list(pieces)
                yield from ("".join(words),) if form else words


def _form(piece: str, common: frozenset[str]) -> str | None:
    """Return what pieces a piece is joined with, None for a word of its own."""
    if normalise(piece) in common:
        return None
    if _KATAKANA.fullmatch(piece):
        return "katakana"
    return "character" if len(piece) == 1 and is_spaceless(piece) and not _HIRAGANA.fullmatch(piece) else None


def _is_spaceless(word: str) -> bool:
    return any(map(is_spaceless, word))


def _has_case(letter: str) -> bool:
    return letter.lower() != letter.upper()
