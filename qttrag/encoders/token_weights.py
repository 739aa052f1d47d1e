"""Rows of `TokenWeights`: taking them apart, joining and choosing them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from qttrag.types import TokenWeights

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def rows(weights: TokenWeights) -> list[TokenWeights]:
    """Return the weights of each text on its own."""
    import numpy as np

    return [
        TokenWeights(np.array([0, end - start]), weights.tokens[start:end], weights.weights[start:end])
        for start, end in zip(weights.starts[:-1].tolist(), weights.starts[1:].tolist(), strict=True)
    ]


def by_token(weights: TokenWeights) -> list[dict[int, float]]:
    """Return the weights of each text by token."""
    return [dict(zip(row.tokens.tolist(), row.weights.tolist(), strict=True)) for row in rows(weights)]


def stacked(parts: Sequence[TokenWeights]) -> TokenWeights:
    """Return the weights of the texts of all parts, in order."""
    import numpy as np

    counts = np.concatenate([np.zeros(1, np.int64), *(np.diff(part.starts) for part in parts)])
    if not parts:
        return TokenWeights(counts, np.empty(0, np.int32), np.empty(0, np.float32))
    tokens = np.concatenate([part.tokens for part in parts])
    return TokenWeights(np.cumsum(counts), tokens, np.concatenate([part.weights for part in parts]))


def chosen(weights: TokenWeights, rows: NDArray[np.int64]) -> TokenWeights:
    """Return the weights of some rows, in the order of `rows`."""
    import numpy as np

    counts = np.diff(weights.starts)[rows]
    starts = np.concatenate([np.zeros(1, np.int64), np.cumsum(counts)])
    places = np.arange(starts[-1]) + np.repeat(weights.starts[rows] - starts[:-1], counts)
    return TokenWeights(starts, weights.tokens[places], weights.weights[places])
