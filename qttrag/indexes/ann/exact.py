"""Exact search: every stored vector against every query, streamed from the disk once."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from qttrag.indexes.ann.first_stage import Candidates

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from qttrag.indexes.storage.vectors import Vectors

_BLOCK = 16_384  # vectors multiplied with all queries at once: 64 MB of 1024 dimensions
ROUNDING = 1e-5  # by which float32 products of unit vectors may differ with the order of their sums


def scan(
    vectors: Vectors,
    queries: NDArray[np.float32],
    k: int,
    *,
    left_out: NDArray[np.int64] | None = None,
    progress: Callable[[int], None] = lambda rows: None,
) -> list[Candidates]:
    """Return the best `k` rows a query, best first, as matrix products in float32 score them.

    `left_out`: for each query a row that is not to be found. `progress` is told the rows that are done. In memory are
    one block of vectors and, for each query, twice what it is to have."""
    import faiss
    import numpy as np

    wanted = k if left_out is None else k + 1
    scores = np.full((len(queries), 0), -np.inf, np.float32)
    rows = np.zeros((len(queries), 0), np.int64)
    search: Any = faiss.knn
    for start, block in vectors.blocks(_BLOCK):
        found, at = search(queries, block, min(wanted, len(block)), metric=faiss.METRIC_INNER_PRODUCT)
        scores, rows = np.hstack([scores, found]), np.hstack([rows, at + start])
        kept = np.argsort(-scores, axis=1, kind="stable")[:, :wanted]
        scores, rows = np.take_along_axis(scores, kept, 1), np.take_along_axis(rows, kept, 1)
        progress(start + len(block))
    found_of = [Candidates(*pair) for pair in zip(rows, scores, strict=True)]
    return found_of if left_out is None else [without(*each, k) for each in zip(found_of, left_out, strict=True)]


def without(found: Candidates, row: np.int64, k: int) -> Candidates:
    """Return the first `k` candidates that are not `row`."""
    kept = found.rows != row
    return Candidates(found.rows[kept][:k], found.scores[kept][:k])


def recall(found: Candidates, exact: Candidates) -> float:
    """Return the share of the exact best that were found, from 0 to 1: of equally good ones any will do."""
    k = len(exact.rows)
    good = found.scores[:k] >= exact.scores[-1] - ROUNDING
    return int(good.sum()) / k
