"""The measures of XOR-TyDi's official scorer, equal to its figures, including its quirks.

Counters are deleted ("3人" is "3"). Japanese is split into words by MeCab, whose dictionary changes the figures.
BLEU is over characters and not smoothed; for Japanese it compares an unsplit prediction with split references."""

from __future__ import annotations

import functools
import math
import string
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from typing import NamedTuple

from qttrag.errors import ConfigError
from qttrag.evaluation.metrics.base import AnswerCase, measure

_PUNCTUATION = frozenset(string.punctuation)
_COUNTERS = frozenset("年歳人년")
_SPLIT_BY_MECAB = "ja"
_ORDERS = 4


@measure("f1_official", signature="f1|scorer:official", dataset="xor_tydi", official=True)
def f1(case: AnswerCase) -> float | None:
    scores = _scores(case)
    return None if scores is None else scores.f1


@measure("em_official", signature="em|scorer:official", dataset="xor_tydi", official=True)
def em(case: AnswerCase) -> float | None:
    scores = _scores(case)
    return None if scores is None else scores.em


@measure("bleu_official", signature="bleu4|chars|scorer:official", dataset="xor_tydi", official=True)
def bleu(case: AnswerCase) -> float | None:
    scores = _scores(case)
    return None if scores is None else scores.bleu


class XorTydiScores(NamedTuple):
    """Each in [0, 1]; F1 and EM are the best over the references, BLEU is against all of them."""

    f1: float
    em: float
    bleu: float


@functools.lru_cache(maxsize=1)  # three measures of one answer are asked for in turn
def _scores(case: AnswerCase) -> XorTydiScores | None:
    references = case.question.official_answers
    return None if references is None else score(case.prediction, references, case.question.lang)


def score(prediction: str, references: Sequence[str], lang: str) -> XorTydiScores:
    """Return the scores of a prediction against at least one reference.

    Raises:
        ConfigError: `lang` is Japanese and MeCab is not installed."""
    predicted, expected = prediction, list(references)
    if lang == _SPLIT_BY_MECAB:
        split = _mecab()
        predicted = split(prediction.replace("・", " ").replace("、", ","))
        expected = [split(reference) for reference in references]
    normal, normal_references = normalise(predicted), [normalise(reference) for reference in expected]
    return XorTydiScores(
        f1=max(_f1(normal.split(), reference.split()) for reference in normal_references),
        em=float(normal in normal_references),
        bleu=_bleu(prediction, expected),
    )


def normalise(text: str) -> str:
    """Return `text` in lower case without ASCII punctuation and counters, single-spaced."""
    return " ".join("".join(c for c in text.lower() if c not in _PUNCTUATION and c not in _COUNTERS).split())


@functools.cache
def _mecab() -> Callable[[str], str]:
    try:
        import MeCab
        import unidic_lite
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"the XOR-TyDi scores of Japanese need the package '{error.name}'; pip install 'qttrag[eval]'"
        ) from error
    parse: Callable[[str], str] = MeCab.Tagger(f"-d {unidic_lite.DICDIR} -Owakati").parse
    return parse


def _f1(predicted: Sequence[str], expected: Sequence[str]) -> float:
    common = (Counter(predicted) & Counter(expected)).total()
    return 2 * common / (len(predicted) + len(expected)) if common else 0.0


def _bleu(predicted: str, expected: Sequence[str]) -> float:
    """Return BLEU-4 of characters; an order without a match counts as the smallest positive float."""
    if not set(predicted) & set("".join(expected)):
        return 0.0
    logs = math.fsum(math.log(_precision(predicted, expected, n)) for n in range(1, _ORDERS + 1)) / _ORDERS
    closest = min((len(r) for r in expected), key=lambda length: (abs(length - len(predicted)), length))
    return math.exp(min(0.0, 1 - closest / len(predicted))) * math.exp(logs)


def _precision(predicted: str, expected: Sequence[str], n: int) -> float:
    grams = _grams(predicted, n)
    most: Counter[str] = Counter()
    for reference in expected:
        most |= _grams(reference, n)
    return (grams & most).total() / max(1, grams.total()) or sys.float_info.min


def _grams(text: str, n: int) -> Counter[str]:
    return Counter(text[start : start + n] for start in range(len(text) - n + 1))
