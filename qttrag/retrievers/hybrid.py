"""Hybrid retrieval: the hits of two retrievers, fused by rank."""

from __future__ import annotations

import asyncio
from collections import defaultdict

from qttrag.protocols import Retriever, Selectable
from qttrag.types import Hit, Passage, Query

RRF_K = 60  # Cormack, Clarke and Büttcher, SIGIR 2009


class HybridRetriever:
    """Retriever kind `hybrid`: reciprocal rank fusion, score = sum over retrievers of 1 / (rrf_k + rank)."""

    def __init__(self, *, first: Retriever, second: Retriever, rrf_k: int = RRF_K) -> None:
        self._retrievers = (first, second)
        self._rrf_k = rrf_k

    @property
    def collections(self) -> list[str]:
        """Return the collections of both; none if one of the two cannot search chosen collections only."""
        of_each = [r.collections if isinstance(r, Selectable) else [] for r in self._retrievers]
        return list(dict.fromkeys(name for names in of_each for name in names)) if all(of_each) else []

    async def retrieve(self, query: Query, k: int) -> list[Hit]:
        scores: dict[Passage, float] = defaultdict(float)
        for hits in await asyncio.gather(*(retriever.retrieve(query, k) for retriever in self._retrievers)):
            for rank, hit in enumerate(hits, 1):
                scores[hit.passage] += 1 / (self._rrf_k + rank)
        fused = [Hit(passage, score) for passage, score in scores.items()]
        return sorted(fused, key=lambda hit: (-hit.score, hit.passage.passage_id))[:k]
