"""Hybrid retrieval: the hits of two or three retrievers, fused by rank."""

from __future__ import annotations

import asyncio

from qttrag.errors import PartialHits
from qttrag.protocols import Retriever, Selectable
from qttrag.retrievers.rank_fusion import RRF_K, fuse
from qttrag.types import Hit, Query


class HybridRetriever:
    """Retriever kind `hybrid`: reciprocal rank fusion, score = sum over retrievers of 1 / (rrf_k + rank).

    `first`, `second`, `third`: retrievers, e.g. dense, sparse and bm25; equal `encoder` settings are one encoder."""

    def __init__(
        self, *, first: Retriever, second: Retriever, third: Retriever | None = None, rrf_k: int = RRF_K
    ) -> None:
        self._retrievers = [first, second, *([] if third is None else [third])]
        self._rrf_k = rrf_k

    @property
    def collections(self) -> list[str]:
        """Return the collections of all; none if one of them cannot search chosen collections only."""
        of_each = [r.collections if isinstance(r, Selectable) else [] for r in self._retrievers]
        return list(dict.fromkeys(name for names in of_each for name in names)) if all(of_each) else []

    async def retrieve(self, query: Query, k: int) -> list[Hit]:
        """Return the fused hits. Where a retriever raises PartialHits, so does this one, with all hits fused."""
        results = await asyncio.gather(*(_hits_or_partial(retriever, query, k) for retriever in self._retrievers))
        rankings = [result.hits if isinstance(result, PartialHits) else result for result in results]
        fused = fuse(rankings, k, rrf_k=self._rrf_k)
        for result in results:
            if isinstance(result, PartialHits):
                raise PartialHits(result, fused) from result
        return fused


async def _hits_or_partial(retriever: Retriever, query: Query, k: int) -> list[Hit] | PartialHits:
    try:
        return await retriever.retrieve(query, k)
    except PartialHits as error:
        return error
