"""Names in Latin letters that a translation lacks."""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Iterable

from qttrag.text.languages import LANGUAGES
from qttrag.types import Lang

_WORD = re.compile(r"[A-Za-z\u00c0-\u024f]{3,}")
_ROMAN = re.compile(r"[IVX]+")
_ALIKE = 0.7  # of difflib; endings and misspellings stay above it


def missing_names(original: str, translation: str, source: Lang, target: Lang) -> tuple[str, ...]:
    """Return the names in Latin letters of a text in another script that its translation into Latin letters lacks.

    Nothing for other pairs of scripts: transliterated names cannot be compared without knowing the language, and
    between Latin alphabets many names are translated ("Black Sea")."""
    if _script(source) == "Latn" or _script(target) != "Latn":
        return ()
    words = {_folded(word) for word in _WORD.findall(translation)}
    named = [word for word in dict.fromkeys(_WORD.findall(original)) if word[0].isupper()]
    return tuple(word for word in named if not (_ROMAN.fullmatch(word) or _is_in(_folded(word), words)))


def _script(lang: Lang) -> str:
    return LANGUAGES[lang].script if lang in LANGUAGES else "Latn"  # a text of unknown language is not checked


def _is_in(name: str, words: Iterable[str]) -> bool:
    return any(name[:4] == word[:4] or name in word or _ratio(name, word) >= _ALIKE for word in words)


def _ratio(one: str, other: str) -> float:
    return difflib.SequenceMatcher(None, one, other, autojunk=False).ratio()


def _folded(word: str) -> str:
    """Return a word in lower case without accents."""
    decomposed = unicodedata.normalize("NFKD", word.lower())
    return "".join(character for character in decomposed if not unicodedata.combining(character))
