"""Scores that say nothing of the translations, or the contrary: controls for whether a generator uses scores at all."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Literal

from qttrag import trace
from qttrag.types import MAX_SCORE, Lang, QualityScores, TaggedPassage

WithoutReference = Literal["shuffled", "inverted", "constant", "random"]
Control = WithoutReference | Literal["oracle"]
Oracle = Callable[[TaggedPassage, Lang], float | None]
"""How good a translation is, in [0, 1], by a reference translation; None without one."""
_HALF_POINTS = 2  # random scores are whole or half points


def apply(control: WithoutReference, passages: Sequence[TaggedPassage], seed: str) -> list[TaggedPassage]:
    """Return the passages with other scores on the translations that have scores; passages without are unchanged.

    "shuffled": each has the scores and critical errors of the next scored one, the last those of the first;
    "inverted": 5 minus each score; "constant": 5 for all; "random": drawn by `seed` and passage, the same each time.
    All but "shuffled" leave out critical errors, which would tell good translations from bad ones."""
    scored = [n for n, passage in enumerate(passages) if passage.scores is not None]
    changed = list(passages)
    for n, following in zip(scored, [*scored[1:], *scored[:1]], strict=True):
        if control == "shuffled":
            other = passages[following]
            changed[n] = replace(passages[n], scores=other.scores, critical_errors=other.critical_errors)
        else:
            score = _score(control, f"{seed}|{passages[n].passage.passage_id}")
            changed[n] = replace(passages[n], scores=_with(passages[n].scores, score), critical_errors=())
    return changed


def by_reference(passages: Sequence[TaggedPassage], target: Lang, oracle: Oracle) -> list[TaggedPassage]:
    """Return the passages; each measured score of a translation with a reference is five times its quality, rounded to
    one decimal, and it has no critical errors.

    Translations without a reference keep their scores; translations without scores stay so.
    Counts: with_reference, without_reference."""
    changed = list(passages)
    for n, passage in enumerate(passages):
        if passage.scores is None:
            continue
        quality = oracle(passage, target)
        trace.count("with_reference", quality is not None)
        trace.count("without_reference", quality is None)
        if quality is not None:
            scores = _with(passage.scores, _constant(round(MAX_SCORE * quality, 1)))
            changed[n] = replace(passage, scores=scores, critical_errors=())
    return changed


def _score(control: str, seed: str) -> Callable[[float], float]:
    if control == "inverted":
        return lambda score: MAX_SCORE - score
    if control == "constant":
        return _constant(float(MAX_SCORE))
    draw = random.Random(seed)  # noqa: S311  a control, not a secret
    return lambda score: draw.randint(0, int(MAX_SCORE) * _HALF_POINTS) / _HALF_POINTS


def _constant(value: float) -> Callable[[float], float]:
    return lambda score: value


def _with(scores: QualityScores | None, change: Callable[[float], float]) -> QualityScores | None:
    """Return each measured score changed; those that the tagger does not measure stay so."""
    return (
        None if scores is None else QualityScores(**{name: change(score) for name, score in scores.measured().items()})
    )
