"""The measures of XOR-TyDi's official scorer, matched figure for figure, its oddities included.

Counters are deleted ("3人" is "3"); Japanese is cut into words by MeCab, whose dictionary decides the figures; BLEU is
over characters, unsmoothed, and of Japanese compares an uncut prediction with cut references."""

from __future__ import annotations

import functools
import math
import string
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from typing import NamedTuple

from qttrag.errors import ConfigError

_PUNCTUATION = frozenset(string.punctuation)
_COUNTERS = frozenset("年歳人년")
_CUT = "ja"
_ORDERS = 4


class Scores(NamedTuple):
    """Each in [0, 1]; F1 and EM best over the references, BLEU against all of them."""

    f1: float
    em: float
    bleu: float


def score(prediction: str, references: Sequence[str], lang: str) -> Scores:
    """Return the scores of a prediction against one reference at least.

    Raises:
        ConfigError: `lang` is Japanese and MeCab is not installed."""
    said, expected = prediction, list(references)
    if lang == _CUT:
        cut = _cutter()
        said, expected = cut(prediction.replace("・", " ").replace("、", ",")), [cut(each) for each in references]
    normal, wanted = normalise(said), [normalise(each) for each in expected]
    return Scores(
        f1=max(_f1(normal.split(), each.split()) for each in wanted),
        em=float(normal in wanted),
        bleu=_bleu(prediction, expected),
    )


def normalise(text: str) -> str:
    """Return `text` in lower case without ASCII punctuation and counters, single-spaced."""
    return " ".join("".join(c for c in text.lower() if c not in _PUNCTUATION and c not in _COUNTERS).split())


@functools.cache
def _cutter() -> Callable[[str], str]:
    try:
        import MeCab
        import unidic_lite
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"the XOR-TyDi scores of Japanese need the package '{error.name}'; pip install 'qttrag[eval]'"
        ) from error
    parse: Callable[[str], str] = MeCab.Tagger(f"-d {unidic_lite.DICDIR} -Owakati").parse
    return parse


def _f1(said: Sequence[str], expected: Sequence[str]) -> float:
    common = (Counter(said) & Counter(expected)).total()
    return 2 * common / (len(said) + len(expected)) if common else 0.0


def _bleu(said: str, expected: Sequence[str]) -> float:
    """Return BLEU-4 of characters; an order without a match counts as the least positive float."""
    if not set(said) & set("".join(expected)):
        return 0.0
    logs = math.fsum(math.log(_precision(said, expected, n)) for n in range(1, _ORDERS + 1)) / _ORDERS
    nearest = min((len(each) for each in expected), key=lambda length: (abs(length - len(said)), length))
    return math.exp(min(0.0, 1 - nearest / len(said))) * math.exp(logs)


def _precision(said: str, expected: Sequence[str], n: int) -> float:
    grams = _grams(said, n)
    most: Counter[str] = Counter()
    for each in expected:
        most |= _grams(each, n)
    return (grams & most).total() / max(1, grams.total()) or sys.float_info.min


def _grams(text: str, n: int) -> Counter[str]:
    return Counter(text[start : start + n] for start in range(len(text) - n + 1))
