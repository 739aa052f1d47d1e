"""The best of scores that were computed for all rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from qttrag.types import Hit, Passage

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def best_hits(scores: NDArray[np.float32], k: int, passage: Callable[[int], Passage]) -> list[Hit]:
    """Return the `k` rows with the highest scores above 0 as hits, best first, ties by passage id.

    `passage`: returns the passage of a row; it is called for the hits and for those that tie with the last of them."""
    import numpy as np

    n = min(k, int(np.count_nonzero(scores > 0)))
    if not n:
        return []
    rows = np.flatnonzero(scores >= np.partition(scores, -n)[-n])
    return best([Hit(passage(row), float(scores[row])) for row in rows.tolist()], k)


def best(hits: Sequence[Hit], k: int) -> list[Hit]:
    """Return the best `k` of the hits, best first, ties by passage id."""
    return sorted(hits, key=lambda hit: (-hit.score, hit.passage.passage_id))[:k]
