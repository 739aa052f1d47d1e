"""Cuts texts into passages of 100 words, or of up to 100 characters in languages and scripts written without spaces."""

from __future__ import annotations

import re
from collections.abc import Sequence

import regex

from qttrag.indexes.recipe import Chunking
from qttrag.indexes.sources import borders
from qttrag.text.languages import SPACELESS
from qttrag.types import Lang

# Thai, Lao, Tibetan, Myanmar, Khmer; the punctuation, kana and characters of Chinese and Japanese; their full width
_SPACELESS = (
    "\u0e00-\u0fff\u1000-\u109f\u1780-\u17ff\u3000-\u30ff\u3400-\u9fff\uf900-\ufaff\uff00-\uffef\U00020000-\U0003134f"
)
_BREAK = re.compile(rf"(?<=[{_SPACELESS}])\s*\n\s*(?=[{_SPACELESS}])")
_SCRIPTS = (
    "Thai Lao Khmer Myanmar Tibetan Han Hiragana Katakana Javanese Balinese Tai_Tham New_Tai_Lue Tai_Viet Cham Yi"
)
_SPACELESS_LETTER = regex.compile("[" + "".join(rf"\p{{Script={script}}}" for script in _SCRIPTS.split()) + "]")
_SAMPLE = 1000  # characters at the beginning of a text that show its script
_BARE_SPACE = regex.compile(r"\s+(?!\p{M})")  # a space that bears a combining mark is no space between words
_MARKED_SPACE = regex.compile(r"\s\p{M}")


def chunk(text: str, lang: Lang, settings: Chunking) -> list[str]:
    """Return the passages of a text, in order. White space becomes single spaces; a line break between two characters
    of a script without spaces is removed; no space is added.

    Without overlap, the passages together contain each word (or character) of the text once. Passages of characters end
    between sentences, clauses or words where they can (`borders`), and never within a character and its marks."""
    if not settings.enabled:
        return [text]
    text = _normalise_spaces(text)
    by_characters = settings.unit == "characters" or (settings.unit == "auto" and _is_spaceless(text, lang))
    if settings.overlap == 0:
        return _split(text, settings.size, by_characters)
    return _split_at_sentences(_sentences(text, lang), settings, by_characters)


def _is_spaceless(text: str, lang: Lang) -> bool:
    """Return whether a text is in a language without spaces, or mostly in such a script: Javanese has two scripts."""
    sample = text[:_SAMPLE]
    if lang in SPACELESS or sample.isascii():
        return lang in SPACELESS
    return 2 * len(_SPACELESS_LETTER.findall(sample)) > sum(map(str.isalpha, sample))


def _normalise_spaces(text: str) -> str:
    return " ".join(_BREAK.sub("", text).split())


def _words(text: str) -> list[str]:
    return text.split() if not _MARKED_SPACE.search(text) else [word for word in _BARE_SPACE.split(text) if word]


def _split(text: str, size: int, by_characters: bool) -> list[str]:
    if by_characters:
        return borders.pieces(text, size)
    words = _words(text)
    return [" ".join(words[start : start + size]) for start in range(0, len(words), size)]


def _sentences(text: str, lang: Lang) -> list[str]:
    import sentencex

    sentences: list[str] = []
    for sentence in sentencex.segment(lang.split("-")[0], text):
        if sentences and (_MARKED_SPACE.match(sentence) or regex.match(r"\p{M}", sentence)):
            sentences[-1] += sentence  # the mark belongs to the character before it
        elif sentence.strip():
            sentences.append(sentence)
    return sentences


def _split_at_sentences(sentences: Sequence[str], settings: Chunking, by_characters: bool) -> list[str]:
    def length(parts: Sequence[str]) -> int:
        return sum(len(part) if by_characters else len(_words(part)) for part in parts)

    def join(parts: Sequence[str]) -> list[str]:
        joined = ("" if by_characters else " ").join(parts)
        return _split(joined, settings.size, by_characters)  # several passages only if one sentence is longer than one

    passages: list[str] = []
    current: list[str] = []
    new = 0  # sentences in `current` that are in no passage yet
    for sentence in sentences:
        if new and length([*current, sentence]) > settings.size:
            passages += join(current)
            current, new = current[-settings.overlap :], 0
            while current and length([*current, sentence]) > settings.size:
                current = current[1:]
        current.append(sentence)
        new += 1
    return passages + (join(current) if new else [])
