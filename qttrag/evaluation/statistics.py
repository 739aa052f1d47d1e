"""How sure a figure is: intervals, paired randomisation tests, Holm's correction. Seeded, so that equal values give
equal figures.

A share has a Wilson interval, which does not collapse where an event is rare; all other figures have a BCa bootstrap
interval (Efron 1987), which corrects the percentile interval for bias and skewness.

A figure is a ratio of sums over questions: of a mean, the value over one a question; of a share, how many over of
how many. A question that says nothing to it has zero over zero."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from statistics import NormalDist
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

RESAMPLES = 10_000
SEED = 0
_CELLS = 4_000_000  # of the matrix of weights in memory at once: 32 MB
_NORMAL = NormalDist()
_Z = _NORMAL.inv_cdf(0.975)

IntervalMethod = Literal["wilson", "bca", "percentile"]


class Interval(NamedTuple):
    """A figure with its 95 % interval and the method; NaN where no question says anything to the figure."""

    value: float
    low: float
    high: float
    method: IntervalMethod = "percentile"


def intervals(over: Floats, under: Floats, shares: Sequence[bool]) -> list[Interval]:
    """Return sum(over) / sum(under) of each column with its 95 % interval.

    `over`, `under`: shape (questions, figures). `shares`: whether a figure is a share, in [0, 1]: one that counts
    events (over, of under) has a Wilson interval, all others `bootstrap`."""

    counted = [share and _counts(over[:, n], under[:, n]) for n, share in enumerate(shares)]
    drawn = [n for n, each in enumerate(counted) if not each]
    rest = iter(bootstrap(over[:, drawn], under[:, drawn]) if drawn else ())
    return [wilson(over[:, n], under[:, n]) if each else next(rest) for n, each in enumerate(counted)]


def _counts(over: Floats, under: Floats) -> bool:
    return bool((over == over.round()).all() and (over >= 0).all() and (over <= under).all())


def wilson(over: Floats, under: Floats) -> Interval:
    """Return the share sum(over) / sum(under) of events with its 95 % Wilson interval.

    `over`, `under`: shape (questions,). Events of one question may be correlated: n is the number of independent events
    with the same variance (all of them if each question has one; one per question if the share is 0 or 1)."""
    total = float(under.sum())
    if not total:
        return Interval(math.nan, math.nan, math.nan, "wilson")
    share = float(over.sum()) / total
    variance = float(((over - share * under) ** 2).sum()) / total**2
    n = min(total, share * (1 - share) / variance) if variance else int((under > 0).sum())
    centre = (share + _Z**2 / (2 * n)) / (1 + _Z**2 / n)
    half = _Z * math.sqrt(share * (1 - share) / n + (_Z / (2 * n)) ** 2) / (1 + _Z**2 / n)
    return Interval(share, max(0.0, min(share, centre - half)), min(1.0, max(share, centre + half)), "wilson")


def bootstrap(over: Floats, under: Floats, *, resamples: int = RESAMPLES, seed: int = SEED) -> list[Interval]:
    """Return sum(over) / sum(under) of each column with its 95 % BCa interval over questions drawn anew.

    `over`, `under`: shape (questions, figures). The same questions are drawn for every column, and for every call
    with as many questions, so that figures of the same questions stay comparable. A draw in which no question says
    anything to a figure is left out of its interval."""
    import numpy as np

    distinct, which = np.unique(under, axis=1, return_inverse=True)  # most figures are means: the same ones below
    ratios = [_ratios(weights, over, distinct, which) for weights in _draws(len(over), resamples, seed)]
    drawn = np.concatenate(ratios) if ratios else np.full((1, over.shape[1]), np.nan)
    values = _ratios(np.ones((1, len(over))), over, distinct, which)[0]
    return [_bca(value, drawn[:, n], over[:, n], under[:, n]) for n, value in enumerate(values)]


def _bca(value: float, drawn: Floats, over: Floats, under: Floats) -> Interval:
    import numpy as np

    known = drawn[~np.isnan(drawn)]
    if not len(known):
        return Interval(float(value), math.nan, math.nan, "bca")
    below = ((known < value).mean() + (known <= value).mean()) / 2
    bias = _NORMAL.inv_cdf(min(max(below, 1 / (len(known) + 1)), 1 - 1 / (len(known) + 1)))
    skew = _acceleration(over, under)
    shifted = (bias + z for z in (-_Z, _Z))
    at = [_NORMAL.cdf(bias + z / max(1 - skew * z, 1e-9)) for z in shifted]
    low, high = np.quantile(known, at)
    return Interval(float(value), float(low), float(high), "bca")


def _acceleration(over: Floats, under: Floats) -> float:
    """Return the acceleration of a ratio of sums by the jackknife over the questions that say something to it."""
    over, under = over[under != 0], under[under != 0]
    if len(over) < 2:
        return 0.0
    without = (over.sum() - over) / (under.sum() - under)
    deviations = without.mean() - without
    if not (largest := float(abs(deviations).max())):
        return 0.0
    deviations = deviations / largest  # else the powers of tiny ones are 0
    return float((deviations**3).sum() / (6 * (deviations**2).sum() ** 1.5))


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


def paired_difference(pairs: Sequence[tuple[float, float]]) -> tuple[Interval, float]:
    """Return the mean difference of pairs, first minus second, with its interval and the p-value of
    `randomisation_test`; at least one pair."""
    import numpy as np

    difference = np.array([[a - b] for a, b in pairs])
    (interval,) = bootstrap(difference, np.ones_like(difference))
    ones, others = zip(*pairs, strict=True)
    return interval, randomisation_test(ones, others)


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


def cohens_kappa(pairs: Sequence[tuple[bool, bool]]) -> float:
    """Return the agreement of two judges beyond chance, in [-1, 1]; NaN if both always say the same one thing."""
    n = len(pairs)
    shares = [sum(column) / n for column in zip(*pairs, strict=True)]
    by_chance = math.prod(shares) + math.prod(1 - share for share in shares)
    agreed = sum(one == other for one, other in pairs) / n
    return (agreed - by_chance) / (1 - by_chance) if by_chance < 1 else math.nan


def kappa(pairs: Sequence[tuple[bool, bool]], *, resamples: int = RESAMPLES, seed: int = SEED) -> Interval:
    """Return `cohens_kappa` with its 95 % percentile interval over pairs drawn anew; NaN without pairs.

    Draws in which both judges always say the same one thing are left out of the interval."""
    import numpy as np

    n = len(pairs)
    if not n:
        return Interval(math.nan, math.nan, math.nan)
    shares = [pairs.count(both) / n for both in ((True, True), (True, False), (False, True), (False, False))]
    both, first, second, neither = np.random.default_rng([seed, n]).multinomial(n, shares, resamples).T / n
    by_chance = (both + first) * (both + second) + (neither + first) * (neither + second)
    known = by_chance < 1
    drawn = (both + neither - by_chance)[known] / (1 - by_chance[known])
    low, high = np.quantile(drawn, (0.025, 0.975)) if len(drawn) else (math.nan, math.nan)
    return Interval(cohens_kappa(pairs), float(low), float(high))
