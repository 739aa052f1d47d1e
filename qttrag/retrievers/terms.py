"""The terms of BM25: what of a text is one term, by its language and its scripts.

| script or language | terms |
|---|---|
| Thai, Lao, Khmer, Burmese | words of ICU's dictionaries |
| Han, kana, Hangul | characters and character bigrams |
| languages with a Snowball stemmer | stems of words |
| all others | words |

`benchmarks/terms.py` compares this with other choices: in Chinese and Japanese, the words of ICU's dictionaries are no
better than bigrams, and single characters beside bigrams are. Terms are not stored with an index."""

from __future__ import annotations

import re
import threading
import unicodedata
from collections.abc import Iterator, Sequence
from typing import Any

from qttrag.text.languages import LANGUAGES
from qttrag.text.normalization import for_matching
from qttrag.text.segmentation import dictionary_words
from qttrag.types import Lang

# Kana, Han, Hangul; and Thai, Lao, Myanmar, Khmer.
_CHARACTERS = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uac00-\ud7a3\U00020000-\U0003134f"
_DICTIONARIES = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff"
_RUN = re.compile(
    f"(?P<characters>[{_CHARACTERS}]+)|(?P<dictionary>[{_DICTIONARIES}]+)|[^{_CHARACTERS}{_DICTIONARIES}]+"
)
# \w excludes combining marks, which are the vowels of Hindi, Bengali and Tamil.
_MARKS = "".join(mark for mark in map(chr, range(0x300, 0x20000)) if unicodedata.category(mark) in {"Mn", "Mc"})
_WORDS = re.compile(rf"\w[\w{_MARKS}]*")
_OF_THREAD = threading.local()


def tokenise(text: str, lang: Lang) -> list[str]:
    """Return the terms of a text in a language, in order.

    Text is normalised by `for_matching`, so that a word in two spellings is one term. A question is compared with
    passages in their language: its terms are those of the passages' language."""
    runs = [run for word in _WORDS.findall(for_matching(text)) for run in _RUN.finditer(word)]
    stemmed = iter(_stems([run.group() for run in runs if run.lastgroup is None], lang))
    terms: list[str] = []
    for run in runs:
        if run.lastgroup is None:
            terms.append(next(stemmed))
        else:
            terms += _characters(run.group()) if run.lastgroup == "characters" else dictionary_words(run.group())
    return terms


def kind_of(text: str, lang: Lang) -> str:
    """Return what the terms of a text are: "characters", "dictionary words", "stems" or "words"."""
    runs = {run.lastgroup for run in _RUN.finditer(for_matching(text))}
    if "characters" in runs:
        return "characters"
    if "dictionary" in runs:
        return "dictionary words"
    return "words" if _stemmer(lang) is None else "stems"


def _characters(text: str) -> Iterator[str]:
    yield from text
    yield from (text[n : n + 2] for n in range(len(text) - 1))


def _stems(words: Sequence[str], lang: Lang) -> list[str]:
    stemmer = _stemmer(lang)
    return list(words) if stemmer is None else list(stemmer.stemWords(words))


def _stemmer(lang: Lang) -> Any:
    """Return the stemmer of a language, which Snowball calls by its English name; None if it has none.

    Only the usual script of a language has one. A stemmer belongs to one thread."""
    stemmers: dict[str, Any] = _OF_THREAD.__dict__
    if lang not in stemmers:
        import Stemmer

        row = LANGUAGES.get(lang)
        algorithm = row.name.split()[0].lower() if row and "-" not in lang else ""  # "Norwegian Bokmål" is "norwegian"
        stemmers[lang] = Stemmer.Stemmer(algorithm) if algorithm in Stemmer.algorithms() else None
    return stemmers[lang]
