"""Entities of the query that a refinement adds to a passage: DKM-RAG's invention, which the paper counted by hand.

Entities are told by their looks: numbers, words with a capital beyond the first of the question, and, in scripts
without capitals, words that few of the other questions have. A word counts as there if its beginning is, for
endings change. Languages without spaces between words are not measured."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from qttrag.evaluation.metrics.language_neutral import contains, normalise
from qttrag.text.languages import SPACELESS
from qttrag.types import Lang, TaggedPassage

_COMMON = 0.02  # a word of more than this share of the questions is no name
_ENDING = 2  # letters that may be an ending, of a word of five at least; one of a shorter word


def common_words(questions: Iterable[str]) -> frozenset[str]:
    """Return the words, case-folded, that more than 2 % of the questions have, and two at least."""
    asked = [set(normalise(question).split()) for question in questions]
    found = Counter(word for words in asked for word in words)
    return frozenset(word for word, n in found.items() if n > max(1, _COMMON * len(asked)))


def entities(question: str, lang: Lang, common: frozenset[str]) -> list[str] | None:
    """Return the entities of a question, or None where words are not to be told apart."""
    if lang in SPACELESS:
        return None
    cased = any(character.islower() for character in question)
    found = []
    for number, word in enumerate(question.split()):
        plain = normalise(word)
        named = any(c.isdecimal() for c in plain) or (
            not cased or (number > 0 and word.strip("\"'«„“”(")[:1].isupper())
        )
        if len(plain) > 1 and named and plain not in common:
            found.append(plain)
    return list(dict.fromkeys(found))


def added(names: Sequence[str], passage: TaggedPassage) -> bool | None:
    """Return whether the refinement has one that passage and translation lack; None where nothing was refined."""
    if passage.refined is None:
        return None
    read = f"{passage.passage.content}\n{passage.translation or ''}"
    stems = [
        name if name[-1].isdecimal() else name[: max(2, len(name) - (_ENDING if len(name) > 4 else 1))]
        for name in names
    ]
    return any(contains(passage.refined, [stem]) and not contains(read, [stem]) for stem in stems)
