"""Texts into passages of 100 words, or 100 characters where words are not set apart by spaces."""

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
    """Return the passages of a text, in order. White space is folded to single spaces; none is put in, and a line
    break between two characters of a script without spaces becomes none.

    Without overlap the passages joined hold every word (or character) of the text once."""
    if not settings.enabled:
        return [text]
    characters = settings.unit == "characters" or (settings.unit == "auto" and lang in SPACELESS)
    separator = "" if characters else " "
    if settings.overlap == 0:
        return _pieces(_units(text, characters), settings.size, separator)
    sentences = [_units(sentence, characters) for sentence in _sentences(text, lang)]
    return _aligned([s for s in sentences if s], settings, separator)


def _units(text: str, characters: bool) -> list[str]:
    folded = _folded(text)
    return list(folded) if characters else folded.split()


def _folded(text: str) -> str:
    return " ".join(_BREAK.sub("", text).split())


def _pieces(units: Sequence[str], size: int, separator: str) -> list[str]:
    pieces = (separator.join(units[start : start + size]).strip() for start in range(0, len(units), size))
    return [piece for piece in pieces if piece]


def _sentences(text: str, lang: Lang) -> list[str]:
    import sentencex

    return list(sentencex.segment(lang.split("-")[0], _folded(text)))


def _aligned(sentences: Sequence[Sequence[str]], settings: Chunking, separator: str) -> list[str]:
    passages: list[str] = []
    current: list[Sequence[str]] = []
    new = 0  # sentences in `current` that no passage has yet
    for sentence in sentences:
        if new and _length(current) + len(sentence) > settings.size:
            passages += _write(current, settings.size, separator)
            current, new = current[-settings.overlap :], 0
            while current and _length(current) + len(sentence) > settings.size:
                current = current[1:]
        current.append(sentence)
        new += 1
    return passages + (_write(current, settings.size, separator) if new else [])


def _length(sentences: Sequence[Sequence[str]]) -> int:
    return sum(map(len, sentences))


def _write(sentences: Sequence[Sequence[str]], size: int, separator: str) -> list[str]:
    units = [unit for sentence in sentences for unit in sentence]
    return _pieces(units, size, separator)  # several only where one sentence is longer than a passage
