"""Exact search: every query is compared with every stored vector; the vectors are read from the disk once."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from qttrag.indexes.ann.first_stage import Candidates

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from qttrag.indexes.storage.vectors import Vectors

_BLOCK_ROWS = 16_384  # vectors multiplied with all queries at once: 64 MB of 1024 dimensions
ROUNDING = 1e-5  # float32 products of unit vectors may differ by this much with the order of their sums


def scan(
    vectors: Vectors,
    queries: NDArray[np.float32],
    k: int,
    *,
    left_out: NDArray[np.int64] | None = None,
    progress: Callable[[int], None] = lambda rows: None,
) -> list[Candidates]:
    """Return the best `k` rows for each query, best first, of equal ones the first row. Scores are float32 products.

    `left_out`: for each query, a row that is excluded. `progress` gets the number of rows scanned. Memory holds one
    block of vectors and, for each query, twice its results."""
    import faiss  # not faiss.contrib.exhaustive_search: of equal rows it returns the last, and pads short results
    import numpy as np

    depth = k if left_out is None else k + 1
    scores = np.full((len(queries), 0), -np.inf, np.float32)
    rows = np.zeros((len(queries), 0), np.int64)
    search: Any = faiss.knn
    for start, block in vectors.blocks(_BLOCK_ROWS):
        block_scores, block_rows = search(queries, block, min(depth, len(block)), metric=faiss.METRIC_INNER_PRODUCT)
        scores, rows = np.hstack([scores, block_scores]), np.hstack([rows, block_rows + start])
        best = np.argsort(-scores, axis=1, kind="stable")[:, :depth]
        scores, rows = np.take_along_axis(scores, best, 1), np.take_along_axis(rows, best, 1)
        progress(start + len(block))
    results = [Candidates(*pair) for pair in zip(rows, scores, strict=True)]
    if left_out is None:
        return results
    return [without(result, row, k) for result, row in zip(results, left_out, strict=True)]


def without(candidates: Candidates, row: np.int64, k: int) -> Candidates:
    """Return the first `k` candidates other than `row`."""
    others = candidates.rows != row
    return Candidates(candidates.rows[others][:k], candidates.scores[others][:k])


def recall(candidates: Candidates, exact: Candidates) -> float:
    """Return the share of the exact best rows among the candidates, from 0 to 1; equal scores count as equal rows."""
    k = len(exact.rows)
    hits = candidates.scores[:k] >= exact.scores[-1] - ROUNDING
    return int(hits.sum()) / k
