"""No reranking."""

from __future__ import annotations

from collections.abc import Sequence

from qttrag.types import Hit, Query


class NoReranker:
    """Reranker kind `none`: the retriever's order and scores."""

    async def rerank(self, query: Query, hits: Sequence[Hit]) -> list[Hit]:
        return list(hits)
