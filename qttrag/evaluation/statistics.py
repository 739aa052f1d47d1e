"""How sure a figure is: bootstrap intervals, paired randomisation tests, Holm's correction. Seeded, so that equal
values give equal figures.

A figure is a ratio of sums over questions: of a mean, the value over one a question; of a share, how many over of
how many. A question that says nothing to it has zero over zero."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

RESAMPLES = 10_000
SEED = 0
_CELLS = 4_000_000  # of the matrix of weights in memory at once: 32 MB


class Interval(NamedTuple):
    """A figure with its 95 % interval; NaN where no question says anything to it."""

    value: float
    low: float
    high: float


def bootstrap(over: Floats, under: Floats, *, resamples: int = RESAMPLES, seed: int = SEED) -> list[Interval]:
    """Return sum(over) / sum(under) of each column with its 95 % percentile interval over questions drawn anew.

    `over`, `under`: shape (questions, figures). The same questions are drawn for every column, and for every call
    with as many questions, so that figures of the same questions stay comparable. A draw in which no question says
    anything to a figure is left out of its interval."""
    import numpy as np

    distinct, which = np.unique(under, axis=1, return_inverse=True)  # most figures are means: the same ones below
    ratios = [_ratios(weights, over, distinct, which) for weights in _draws(len(over), resamples, seed)]
    drawn = np.concatenate(ratios) if ratios else np.full((1, over.shape[1]), np.nan)
    values = _ratios(np.ones((1, len(over))), over, distinct, which)[0]
    return [_interval(value, column) for value, column in zip(values, drawn.T, strict=True)]


def _interval(value: float, drawn: Floats) -> Interval:
    import numpy as np

    known = drawn[~np.isnan(drawn)]
    low, high = np.quantile(known, (0.025, 0.975)) if len(known) else (np.nan, np.nan)
    return Interval(float(value), float(low), float(high))


def _ratios(weights: Floats, over: Floats, distinct: Floats, which: NDArray[np.intp]) -> Floats:
    import numpy as np

    above, below = weights @ over, (weights @ distinct)[:, which]
    ratios: Floats = np.full(below.shape, np.nan)
    return np.divide(above, below, out=ratios, where=below != 0)


def _draws(n: int, resamples: int, seed: int) -> Iterator[Floats]:
    """Yield how often each of `n` questions is drawn, in blocks of shape (draws, n)."""
    import numpy as np

    draw = np.random.default_rng([seed, n])
    size = max(1, _CELLS // max(n, 1))
    for start in range(0, resamples if n else 0, size):
        weights = np.empty((min(size, resamples - start), n))
        for row in weights:  # one at a time: its counts stay in the processor's cache
            row[:] = np.bincount(draw.integers(0, n, n, dtype=np.int32), minlength=n)
        yield weights


def randomisation_test(
    one: Sequence[float], other: Sequence[float], *, resamples: int = RESAMPLES, seed: int = SEED
) -> float:
    """Return the two-sided p-value of the mean difference of paired values, by exchanging pairs at random.

    1.0 where there are no pairs. Never below 1 / (resamples + 1)."""
    import numpy as np

    difference = np.asarray(one, np.float64) - np.asarray(other, np.float64)
    difference = difference[difference != 0]  # those that are equal change nothing when exchanged
    n = len(difference)
    if n == 0:
        return 1.0
    draw = np.random.default_rng([seed, n])
    seen = abs(difference.sum()) * (1 - 1e-12)  # what is equal but for rounding is as extreme
    extreme, size = 0, max(1, _CELLS // n)
    for start in range(0, resamples, size):
        rows = min(size, resamples - start)
        bits = np.unpackbits(draw.integers(0, 256, (rows, (n + 7) // 8), dtype=np.uint8), axis=1, count=n)
        sums = difference.sum() - 2 * (bits.astype(np.float64) @ difference)
        extreme += int((np.abs(sums) >= seen).sum())
    return (extreme + 1) / (resamples + 1)


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values corrected for being so many, by Holm's step-down method, in the order given."""
    corrected = [0.0] * len(p_values)
    highest = 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[index]))
        corrected[index] = highest
    return corrected
