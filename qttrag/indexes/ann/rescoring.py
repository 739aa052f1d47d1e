"""The second stage of a search: candidates are scored with the stored vectors."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from qttrag.indexes.ann.first_stage import Candidates

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from qttrag.indexes.storage.vectors import Vectors

_BATCH_ROWS = 32_768  # candidates read at once, of one or of several queries: 64 MB of 1024 dimensions


def rescore(vectors: Vectors, queries: NDArray[np.float32], candidates: Sequence[Candidates]) -> list[Candidates]:
    """Return the candidates of each query with their exact scores, in the same order.

    Vectors are read in the order of the disk, each once for all queries of a batch. A score does not depend on what
    else is scored: it is summed up on its own, not in a product of matrices."""
    return [
        scored
        for first, last in _batches(candidates)
        for scored in _rescore_batch(vectors, queries[first:last], candidates[first:last])
    ]


def best(candidates: Candidates, k: int) -> Candidates:
    """Return the best `k` candidates and all that tie with the last of them, best first, equal ones by row."""
    import numpy as np

    order = np.lexsort((candidates.rows, -candidates.scores))
    if len(order) > k:
        order = order[candidates.scores[order] >= candidates.scores[order[k - 1]]]
    return Candidates(candidates.rows[order], candidates.scores[order])


def _batches(candidates: Sequence[Candidates]) -> Iterator[tuple[int, int]]:
    """Yield the bounds of batches of queries, each with few enough candidates to be read at once."""
    first = rows = 0
    for n, result in enumerate(candidates):
        if rows and rows + len(result.rows) > _BATCH_ROWS:
            yield first, n
            first, rows = n, 0
        rows += len(result.rows)
    if len(candidates) > first:
        yield first, len(candidates)


def _rescore_batch(
    vectors: Vectors, queries: NDArray[np.float32], candidates: Sequence[Candidates]
) -> list[Candidates]:
    import numpy as np

    rows, places = np.unique(np.concatenate([result.rows for result in candidates]), return_inverse=True)
    stored = vectors.stored(rows)
    scored, start = [], 0
    for query, result in zip(queries, candidates, strict=True):
        own = stored[places[start : start + len(result.rows)]].astype(np.float32)
        scored.append(Candidates(result.rows, np.einsum("ij,j->i", own, query)))
        start += len(result.rows)
    return scored
