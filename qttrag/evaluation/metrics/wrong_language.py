"""Right, but in the wrong language: after the CoCo-CoLa ratio (correct concept, correct language; arXiv:2502.12476)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from qttrag.evaluation.metrics.language_neutral import contains


def wrong_of_right(prediction: str, answers: Sequence[str], elsewhere: Mapping[str, Sequence[str]]) -> bool | None:
    """Return whether the prediction holds the answer in another language only; None where it holds it in none.

    `elsewhere`: the answers in other languages. What reads alike in both, as many names do, is right as asked."""
    if contains(prediction, answers):
        return False
    others = [text for texts in elsewhere.values() for text in texts]
    return True if others and contains(prediction, others) else None
