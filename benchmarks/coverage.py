"""How often do 95 % intervals contain the true figure?

    python -m benchmarks.coverage

Shares have Wilson intervals; with one event a question their coverage is a sum over the binomial distribution, without
chance. Percentile intervals of 2,000 resamples are beside them, for comparison. Shares with five correlated events a
question, such as r_lang, and means, such as character recall, are simulated."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from qttrag.evaluation.statistics import Interval, bootstrap, wilson

Floats = NDArray[np.float64]
SIZES = (20, 371)
SHARES = (0.002, 0.01, 0.3)
PER_QUESTION = 5
RESAMPLES = 2_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--simulations", type=int, default=400)
    n_simulated = parser.parse_args().simulations
    draw = np.random.default_rng(0)
    error = 100 * (0.95 * 0.05 / n_simulated) ** 0.5
    print(f"Coverage of 95 % intervals, per cent; simulated: {n_simulated} each, standard error {error:.1f} at 95 %\n")
    print("| n | figure | interval | coverage |\n|---|---|---|---|")
    for n in SIZES:
        for name, interval, covered in _rows(draw, n, n_simulated):
            print(f"| {n} | {name} | {interval} | {100 * covered:.1f} |", flush=True)


def _rows(draw: np.random.Generator, n: int, n_simulated: int) -> Iterator[tuple[str, str, float]]:
    """Yield (figure, interval, coverage) of samples of n questions."""
    for share in SHARES:
        yield f"share {share:.1%}", "wilson, exact", exact_coverage(n, share, wilson_of)
        yield f"share {share:.1%}", "percentile, exact", exact_coverage(n, share, percentile_of)
        covered = [_covers_share(draw, n, share) for _ in range(n_simulated)]
        yield f"share {share:.1%} of {PER_QUESTION} correlated events", "wilson", float(np.mean(covered))
    for name, (sample, mean) in MEANS.items():
        covered = [_covers_mean(sample(draw, n), mean) for _ in range(n_simulated)]
        yield f"mean of {name}", "bca", float(np.mean(covered))


def exact_coverage(n: int, share: float, interval_of: Callable[[int, int], tuple[float, float]]) -> float:
    """Return the probability that the interval of n draws with that share contains it. `interval_of`: (events, n)."""
    intervals = [interval_of(events, n) for events in range(n + 1)]
    inside = [low <= share <= high for low, high in intervals]
    return float(stats.binom.pmf(np.arange(n + 1), n, share)[np.array(inside)].sum())


def wilson_of(events: int, n: int) -> tuple[float, float]:
    interval = wilson(np.r_[np.ones(events), np.zeros(n - events)], np.ones(n))
    return interval.low, interval.high


def percentile_of(events: int, n: int) -> tuple[float, float]:
    """Return the percentile bootstrap interval, to which resamples converge: quantiles of a binomial distribution."""
    low, high = stats.binom.ppf([0.025, 0.975], n, events / n) / n
    return float(low), float(high)


def _covers_share(draw: np.random.Generator, n: int, share: float) -> bool:
    """Draw questions whose own shares vary (beta, correlation 0.25 of two events of a question)."""
    own = draw.beta(3 * share, 3 * (1 - share), n)
    return _contains(
        wilson(draw.binomial(PER_QUESTION, own).astype(np.float64), np.full(n, float(PER_QUESTION))), share
    )


def _covers_mean(values: Floats, mean: float) -> bool:
    (interval,) = bootstrap(values[:, None], np.ones((len(values), 1)), resamples=RESAMPLES)
    return _contains(interval, mean)


def _contains(interval: Interval, value: float) -> bool:
    return bool(interval.low <= value <= interval.high)


def _recall(draw: np.random.Generator, n: int) -> Floats:
    """Draw values such as a character recall: 0 in 45 %, 1 in 25 %, between them otherwise; the mean is 0.4."""
    kind = draw.random(n)
    return np.where(kind < 0.45, 0.0, np.where(kind < 0.7, 1.0, draw.random(n)))


def _skewed(draw: np.random.Generator, n: int) -> Floats:
    """Draw values such as seconds: lognormal with a mean of 1."""
    return draw.lognormal(-0.5, 1.0, n)


MEANS: dict[str, tuple[Callable[[np.random.Generator, int], Floats], float]] = {
    "a character recall": (_recall, 0.25 + 0.3 * 0.5),
    "seconds (lognormal)": (_skewed, 1.0),
}

if __name__ == "__main__":
    main()
