"""The measures of MKQA's official scorer, matched figure for figure, its oddities included.

Articles are deleted per language, in French, Italian and Arabic also where they only begin (or are in) a word.
Chinese, Japanese, Thai and Khmer are compared character by character. Aliases are references like others, where a
dataset is read with them."""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

_PUNCTUATION = frozenset(string.punctuation)
_BY_CHARACTER = frozenset(("zh", "zh-Hant", "yue", "ja", "th", "km"))
_WORDS = {
    "en": "a an the",
    "es": "un una unos unas el la los las",
    "vi": "của là cái chiếc những",
    "de": "ein eine einen einem eines einer der die das den dem des",
    "nl": "de het een des der den",
    "sv": "en ett",
    "da": "en et",
    "nb": "en et ei",
    "pt": "o a os as um uma uns umas",
    "fi": "se yks yksi",
    "hu": "a az egy",
}
_BEGINNINGS = {"fr": "le la du de un", "it": "il lo la i gli le del dei degli uno una un"}
_ARTICLES = {
    **{lang: re.compile(rf"\b({'|'.join(words.split())})\b") for lang, words in _WORDS.items()},
    **{lang: re.compile(rf"\b({'|'.join(words.split())})") for lang, words in _BEGINNINGS.items()},
    "ar": re.compile("ال"),
}


class Scores(NamedTuple):
    """Each in [0, 1], and each the best over the references on its own."""

    f1: float
    em: float


def score(prediction: str, references: Sequence[str], lang: str) -> Scores:
    """Return the scores of a prediction against one reference at least; `lang` is a code of `qttrag.text.languages`."""
    said = normalise(prediction, lang)
    expected = [normalise(each, lang) for each in references]
    return Scores(f1=max(_f1(said.split(), each.split()) for each in expected), em=float(said in expected))


def normalise(text: str, lang: str) -> str:
    """Return `text` in lower case without ASCII punctuation and the language's articles, single-spaced."""
    bare = "".join(character for character in text.lower() if character not in _PUNCTUATION)
    if lang in _ARTICLES:
        bare = _ARTICLES[lang].sub(" ", bare)
    return " ".join("".join(bare.split()) if lang in _BY_CHARACTER else bare.split())


def _f1(said: Sequence[str], expected: Sequence[str]) -> float:
    if not said or not expected:
        return float(said == expected)
    return 2 * (Counter(said) & Counter(expected)).total() / (len(said) + len(expected))
