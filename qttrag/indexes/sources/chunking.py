"""Cuts texts into passages of 100 words, or of 100 characters in languages written without spaces."""

from __future__ import annotations

import re
from collections.abc import Sequence

from qttrag.indexes.recipe import Chunking
from qttrag.text.languages import SPACELESS
from qttrag.types import Lang

# Thai, Lao, Tibetan, Myanmar, Khmer; the punctuation, kana and characters of Chinese and Japanese; their full width
_SPACELESS = (
    "\u0e00-\u0fff\u1000-\u109f\u1780-\u17ff\u3000-\u30ff\u3400-\u9fff\uf900-\ufaff\uff00-\uffef\U00020000-\U0003134f"
)
_BREAK = re.compile(rf"(?<=[{_SPACELESS}])\s*\n\s*(?=[{_SPACELESS}])")


def chunk(text: str, lang: Lang, settings: Chunking) -> list[str]:
    """Return the passages of a text, in order. White space becomes single spaces; a line break between two characters
    of a script without spaces is removed; no space is added.

    Without overlap, the passages together contain each word (or character) of the text once."""
    if not settings.enabled:
        return [text]
    by_characters = settings.unit == "characters" or (settings.unit == "auto" and lang in SPACELESS)
    separator = "" if by_characters else " "
    if settings.overlap == 0:
        return _split(_units(text, by_characters), settings.size, separator)
    sentences = [_units(sentence, by_characters) for sentence in _sentences(text, lang)]
    return _split_at_sentences([sentence for sentence in sentences if sentence], settings, separator)


def _units(text: str, by_characters: bool) -> list[str]:
    normalised = _normalise_spaces(text)
    return list(normalised) if by_characters else normalised.split()


def _normalise_spaces(text: str) -> str:
    return " ".join(_BREAK.sub("", text).split())


def _split(units: Sequence[str], size: int, separator: str) -> list[str]:
    passages = (separator.join(units[start : start + size]).strip() for start in range(0, len(units), size))
    return [passage for passage in passages if passage]


def _sentences(text: str, lang: Lang) -> list[str]:
    import sentencex

    return list(sentencex.segment(lang.split("-")[0], _normalise_spaces(text)))


def _split_at_sentences(sentences: Sequence[Sequence[str]], settings: Chunking, separator: str) -> list[str]:
    passages: list[str] = []
    current: list[Sequence[str]] = []
    new = 0  # sentences in `current` that are in no passage yet
    for sentence in sentences:
        if new and _length(current) + len(sentence) > settings.size:
            passages += _join(current, settings.size, separator)
            current, new = current[-settings.overlap :], 0
            while current and _length(current) + len(sentence) > settings.size:
                current = current[1:]
        current.append(sentence)
        new += 1
    return passages + (_join(current, settings.size, separator) if new else [])


def _length(sentences: Sequence[Sequence[str]]) -> int:
    return sum(map(len, sentences))


def _join(sentences: Sequence[Sequence[str]], size: int, separator: str) -> list[str]:
    units = [unit for sentence in sentences for unit in sentence]
    return _split(units, size, separator)  # several passages only if one sentence is longer than a passage
