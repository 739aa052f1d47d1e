"""What rerankers that score each passage on its own have in common."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Sequence

from qttrag.errors import StageError
from qttrag.types import Hit


async def by_score(
    hits: Sequence[Hit], score: Callable[[list[str]], Awaitable[Sequence[float]]], *, model: str
) -> list[Hit]:
    """Return the hits with the scores of their contents, best first, ties by passage id.

    Each content is scored once: equal contents have equal scores.

    Raises:
        StageError: a score is not a finite number."""
    contents = list(dict.fromkeys(hit.passage.content for hit in hits))
    if not contents:
        return []
    scores = dict(zip(contents, await score(contents), strict=True))
    if not all(map(math.isfinite, scores.values())):
        raise StageError("reranker", f"{model} returned a score that is not a number; use another dtype or model")
    ranked = [Hit(hit.passage, scores[hit.passage.content]) for hit in hits]
    return sorted(ranked, key=lambda hit: (-hit.score, hit.passage.passage_id))
