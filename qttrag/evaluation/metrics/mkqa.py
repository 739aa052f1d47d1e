"""The measures of MKQA's official scorer, equal to its figures, including its quirks.

Articles are deleted per language; in French and Italian also at the beginning of a longer word, in Arabic anywhere.
Chinese, Japanese, Thai and Khmer are compared character by character. Aliases are references."""

from __future__ import annotations

import functools
import re
import string
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from qttrag.evaluation.metrics.base import AnswerCase, measure

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


@measure("f1_official", signature="f1|scorer:official", dataset="mkqa", official=True)
def f1(case: AnswerCase) -> float | None:
    scores = _scores(case)
    return None if scores is None else scores.f1


@measure("em_official", signature="em|scorer:official", dataset="mkqa", official=True)
def em(case: AnswerCase) -> float | None:
    scores = _scores(case)
    return None if scores is None else scores.em


class MkqaScores(NamedTuple):
    """Each in [0, 1], and each the best over the references independently."""

    f1: float
    em: float


@functools.lru_cache(maxsize=1)  # two measures of one answer are asked for in turn
def _scores(case: AnswerCase) -> MkqaScores | None:
    references = case.question.official_answers
    return None if references is None else score(case.prediction, references, case.question.lang)


def score(prediction: str, references: Sequence[str], lang: str) -> MkqaScores:
    """Return the scores of a prediction against at least one reference; `lang` is a code of `qttrag.text.languages`."""
    predicted = normalise(prediction, lang)
    expected = [normalise(reference, lang) for reference in references]
    return MkqaScores(
        f1=max(_f1(predicted.split(), reference.split()) for reference in expected), em=float(predicted in expected)
    )


def normalise(text: str, lang: str) -> str:
    """Return `text` in lower case without ASCII punctuation and the language's articles, single-spaced."""
    bare = "".join(character for character in text.lower() if character not in _PUNCTUATION)
    if lang in _ARTICLES:
        bare = _ARTICLES[lang].sub(" ", bare)
    return " ".join("".join(bare.split()) if lang in _BY_CHARACTER else bare.split())


def _f1(predicted: Sequence[str], expected: Sequence[str]) -> float:
    if not predicted or not expected:
        return float(predicted == expected)
    return 2 * (Counter(predicted) & Counter(expected)).total() / (len(predicted) + len(expected))
