"""Negations that an original and its translation do not share."""

from __future__ import annotations

import re

from qttrag.taggers.critical_errors.lexicon import Lexicon, WordTable, lexicon
from qttrag.types import Lang

_WORD = re.compile(r"[^\W\d_]+")
_CONTRACTED = re.compile(r"n['’]t\b")


def negation_differs(original: str, translation: str, source: Lang, target: Lang) -> bool:
    """Return whether one of the texts has a plain negation and the other nothing that may stand for one.

    False where the words of a language are unknown. Whether a negation has moved to another verb is not checked."""
    words, other_words = lexicon(source), lexicon(target)
    if words is None or other_words is None:
        return False
    lost = _is_negative(original, words) and not _may_be_negative(translation, other_words)
    return lost or (_is_negative(translation, other_words) and not _may_be_negative(original, words))


def _is_negative(text: str, lexicon: Lexicon) -> bool:
    return _has(text, lexicon.negation, lexicon) or bool(_CONTRACTED.search(text))


def _may_be_negative(text: str, lexicon: Lexicon) -> bool:
    return _is_negative(text, lexicon) or _has(text, lexicon.near_negation, lexicon)


def _has(text: str, table: WordTable, lexicon: Lexicon) -> bool:
    lower = text.lower().replace("’", "'")
    for phrase in lexicon.not_negation:
        lower = lower.replace(phrase, " ")
    if lexicon.is_attached:
        return any(word in lower for word in table.words)
    return any(table.get(word) is not None for word in _WORD.findall(lower))
