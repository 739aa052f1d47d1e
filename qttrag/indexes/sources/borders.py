"""Where a text written without spaces may be cut: between sentences, clauses or words, never within a character.

A character is a grapheme cluster: a letter with its marks, a syllable of Hangul letters, a conjunct of an Indic script,
an emoji sequence. Line breaks (UAX #14) keep closing punctuation with the word before it; ICU finds the words of Thai,
Lao, Khmer, Burmese, Chinese and Japanese in dictionaries, and the syllables of Tibetan and Javanese script by rules."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from itertools import accumulate
from typing import TYPE_CHECKING

import regex

if TYPE_CHECKING:
    from icu4py.breakers import BaseBreaker

_CONTEXT = 50  # characters after the last possible cut, by which words at its end are recognised
_LATE = 0.75  # share of the size from which on a piece may end at punctuation
_HALF = 0.5  # and at a word
_CLOSING = r"[\p{Pe}\p{Pf}\p{Pi}\"'\s]*\Z"
_AFTER_SENTENCE = regex.compile(r"\p{Sentence_Terminal}" + _CLOSING)
_AFTER_CLAUSE = regex.compile(rf"(?:\p{{Terminal_Punctuation}}{_CLOSING}|\s\Z)")
_TAIL = 8  # characters before a cut in which punctuation is sought
_LEADING_SPACE = regex.compile(r"\A\s+(?!\p{M})")


def pieces(text: str, size: int) -> list[str]:
    """Return the pieces of a text of at most `size` characters each; a grapheme cluster longer than that stays whole.

    Joined, they are the text, but for white space around them."""
    cut, start = list[str](), 0
    while len(text) - start > size:
        end = start + _end(text, start, size)
        cut.append(text[start:end])
        start = end
    return [piece for piece in map(_strip, [*cut, text[start:]]) if piece]


def _end(text: str, start: int, size: int) -> int:
    """Return the length of the piece that begins at `start`."""
    from icu4py.breakers import CharacterBreaker

    window = text[start : start + size + _CONTEXT]
    characters = {end for end in _ends(CharacterBreaker(window, "und")) if end <= size and _is_border(window, end)}
    if not characters:
        rest = text[start:]
        return next(end for end in _ends(CharacterBreaker(rest, "und")) if _is_border(rest, end))
    return next(_preferred(window, characters, size))


def _is_border(text: str, end: int) -> bool:
    """Return whether no mark follows: some vowel signs of Burmese are clusters of their own (UAX #29)."""
    return end == len(text) or not unicodedata.category(text[end]).startswith("M")


def _preferred(window: str, characters: set[int], size: int) -> Iterator[int]:
    """Yield the places to cut, best first."""
    from icu4py.breakers import LineBreaker, WordBreaker

    breaks = sorted(characters & set(_ends(LineBreaker(window, "und"))), reverse=True)
    late = [end for end in breaks if end >= _LATE * size]
    for pattern in (_AFTER_SENTENCE, _AFTER_CLAUSE):
        yield from (end for end in late if pattern.search(window[max(0, end - _TAIL) : end]))
    words = set(_ends(WordBreaker(window, "und")))
    yield from (end for end in breaks if end in words and end >= _HALF * size)
    yield from breaks[:1]
    yield max(characters)


def _ends(breaker: BaseBreaker) -> Iterator[int]:
    return accumulate(map(len, breaker))  # `segments` counts in UTF-16


def _strip(piece: str) -> str:
    """Return a piece without white space around it; a space that bears a combining mark stays."""
    return str(_LEADING_SPACE.sub("", piece.rstrip()))
