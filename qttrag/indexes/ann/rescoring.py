"""The second stage of a search: candidates scored with the vectors as they are stored."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from qttrag.indexes.ann.first_stage import Candidates

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from qttrag.indexes.storage.vectors import Vectors

_TOGETHER = 32_768  # candidates read at once, of one or of several queries: 64 MB of 1024 dimensions


def rescored(vectors: Vectors, queries: NDArray[np.float32], found: Sequence[Candidates]) -> list[Candidates]:
    """Return the candidates of each query with their exact scores, in the order they came in.

    A vector that several queries want is read once; vectors are read in the order they lie on the disk. A score is
    the same whatever else is scored: it is summed up by itself, not as a part of a product of matrices."""
    return [each for first, last in _groups(found) for each in _group(vectors, queries[first:last], found[first:last])]


def best(found: Candidates, k: int) -> Candidates:
    """Return the best `k` candidates, best first, and those that score as the last of them; of equals the first row."""
    import numpy as np

    order = np.lexsort((found.rows, -found.scores))
    if len(order) > k:
        order = order[found.scores[order] >= found.scores[order[k - 1]]]
    return Candidates(found.rows[order], found.scores[order])


def _groups(found: Sequence[Candidates]) -> Iterator[tuple[int, int]]:
    """Yield from where to where in `found` there are some candidates, few enough to be read at once."""
    first = wanted = 0
    for n, each in enumerate(found):
        if wanted and wanted + len(each.rows) > _TOGETHER:
            yield first, n
            first, wanted = n, 0
        wanted += len(each.rows)
    if len(found) > first:
        yield first, len(found)


def _group(vectors: Vectors, queries: NDArray[np.float32], found: Sequence[Candidates]) -> list[Candidates]:
    import numpy as np

    rows, places = np.unique(np.concatenate([each.rows for each in found]), return_inverse=True)
    stored = vectors.stored(rows)
    scored, start = [], 0
    for query, each in zip(queries, found, strict=True):
        wanted = stored[places[start : start + len(each.rows)]].astype(np.float32)
        scored.append(Candidates(each.rows, np.einsum("ij,j->i", wanted, query)))
        start += len(each.rows)
    return scored
