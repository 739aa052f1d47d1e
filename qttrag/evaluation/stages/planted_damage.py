"""Translations with planted damage, to train and measure quality estimators without human scores."""

from __future__ import annotations

import random
from collections.abc import Sequence

from qttrag.evaluation.stages.tagging import JudgedTranslation
from qttrag.evaluation.statistics import SEED
from qttrag.types import MAX_SCORE


def damaged(pairs: Sequence[JudgedTranslation]) -> list[JudgedTranslation]:
    """Return each pair twice: as it is, with the highest score, and damaged, with the undamaged share of that score.

    The damage is a span of random length, at least a word, that is left out or replaced by words of another
    translation; both are equally frequent. Equal for equal pairs."""
    draw = random.Random(SEED)  # noqa: S311  not a secret
    words = [_words(pair.translation) for pair in pairs]
    judged = []
    for pair, own in zip(pairs, words, strict=True):
        judged.append(pair._replace(score=MAX_SCORE))
        length = draw.randint(1, max(1, len(own)))
        start = draw.randint(0, max(0, len(own) - length))
        instead = draw.choice(words)[:length] if draw.random() < 0.5 else []
        text = "".join([*own[:start], *instead, *own[start + length :]])
        judged.append(pair._replace(translation=text, score=MAX_SCORE * (1 - length / max(1, len(own)))))
    return judged


def _words(text: str) -> list[str]:
    """Return the words of a text in any script, each with the spaces after it."""
    from icu4py.breakers import WordBreaker

    words: list[str] = []
    for segment in WordBreaker(text, "und"):
        if words and segment.isspace():
            words[-1] += segment
        else:
            words.append(segment)
    return words
