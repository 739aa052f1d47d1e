"""Reciprocal rank fusion of several rankings (Cormack, Clarke and Büttcher, SIGIR 2009)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

from qttrag.types import Hit, Passage

RRF_K = 60  # of the paper


def fuse(rankings: Iterable[Sequence[Hit]], k: int, *, rrf_k: int = RRF_K) -> list[Hit]:
    """Return the best `k` passages of several rankings, best first, ties by passage id.

    The score of a passage is the sum, over the rankings that have it, of 1 / (rrf_k + rank); ranks begin at 1."""
    scores: dict[Passage, float] = defaultdict(float)
    for ranking in rankings:
        for rank, hit in enumerate(ranking, 1):
            scores[hit.passage] += 1 / (rrf_k + rank)
    fused = [Hit(passage, score) for passage, score in scores.items()]
    return sorted(fused, key=lambda hit: (-hit.score, hit.passage.passage_id))[:k]
