"""Intervals and tests: against what is known of simple cases and against a plain bootstrap."""

from __future__ import annotations

import itertools
import random
import statistics as plain

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from qttrag.evaluation.statistics import bootstrap, holm, intervals, randomisation_test, wilson


def column(values: list[float]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    return np.array(values)[:, None], np.ones((len(values), 1))


def test_an_interval_is_the_same_each_time_and_another_with_another_seed() -> None:
    over, under = column([random.Random(1).random() for _ in range(50)])
    assert bootstrap(over, under) == bootstrap(over, under)
    over, under = column([random.Random(n).random() for n in range(50)])
    assert bootstrap(over, under) != bootstrap(over, under, seed=1)


def test_an_interval_is_what_the_normal_distribution_says_of_371_shares() -> None:
    (found,) = bootstrap(*column([1.0] * 150 + [0.0] * 221))
    half = 1.96 * (found.value * (1 - found.value) / 371) ** 0.5
    assert found.value == pytest.approx(150 / 371)
    assert found.low == pytest.approx(found.value - half, abs=0.004)
    assert found.high == pytest.approx(found.value + half, abs=0.004)


def test_an_interval_of_tiny_values_is_that_of_large_ones() -> None:
    values = np.array([[1.0], [2.0], [8.0], [3.0]])
    (large,), (tiny,) = (bootstrap(values * scale, np.ones_like(values)) for scale in (1.0, 1e-120))
    assert [tiny.low * 1e120, tiny.high * 1e120] == pytest.approx([large.low, large.high])


def test_an_interval_of_skewed_values_is_scipys_bca_interval() -> None:
    draw = random.Random(0)
    values = [draw.expovariate(1) for _ in range(40)]
    (found,) = bootstrap(*column(values))
    theirs = stats.bootstrap((values,), np.mean, method="BCa", random_state=np.random.default_rng(1))
    assert tuple(found)[1:3] == pytest.approx(tuple(theirs.confidence_interval), abs=0.02)
    means = sorted(plain.fmean(draw.choices(values, k=40)) for _ in range(10_000))
    assert found.high > means[9750] + 0.02


def test_an_interval_of_a_share_is_scipys_wilson_interval() -> None:
    for n, k in ((20, 0), (20, 20), (371, 1), (371, 150)):
        found = wilson(np.array([1.0] * k + [0.0] * (n - k)), np.ones(n))
        theirs = stats.binomtest(k, n).proportion_ci(method="wilson")
        assert tuple(found)[:3] == pytest.approx((k / n, theirs.low, theirs.high))


def covered(n: int, share: float) -> float:
    """Return the probability that the interval of `n` questions holds the true share: exact, over all outcomes."""
    total = 0.0
    for k in range(n + 1):
        found = wilson(np.array([1.0] * k + [0.0] * (n - k)), np.ones(n))
        total += float(stats.binom.pmf(k, n, share)) if found.low <= share <= found.high else 0.0
    return total


@pytest.mark.parametrize(
    ("n", "share", "most"),
    [(20, 0.002, 0.97), (20, 0.01, 0.99), (20, 0.3, 0.98), (371, 0.002, 0.97), (371, 0.01, 0.97), (371, 0.3, 0.97)],
)  # of 1 % at n = 20, the coverage is 82 % without the outcome 1 of 20, and 98 % with it
def test_intervals_of_shares_hold_the_true_share_in_95_of_100_cases(n: int, share: float, most: float) -> None:
    assert 0.93 <= covered(n, share) <= most


def test_an_interval_of_passages_holds_the_true_share_although_those_of_a_question_are_alike() -> None:
    draw = np.random.default_rng(0)
    held = 0
    for _ in range(500):
        over = draw.binomial(5, draw.beta(0.2, 0.6, 100)).astype(float)  # 25 % of 5 passages, correlated
        found = wilson(over, np.full(100, 5.0))
        held += found.low <= 0.25 <= found.high
    assert 0.93 <= held / 500 <= 0.97


def test_a_share_is_counted_and_a_mean_is_drawn() -> None:
    over = np.array([[1.0, 0.5, 1.0], [0.0, 0.25, 0.0]])
    found = intervals(over, np.ones_like(over), [True, True, False])
    assert [each.method for each in found] == ["wilson", "bca", "bca"]


def test_a_share_of_nothing_has_an_interval() -> None:
    (found,) = intervals(*column([0.0] * 371), [True])
    assert (found.low, found.high) == pytest.approx((0.0, 0.0102), abs=1e-4)


def test_questions_that_say_nothing_do_not_count() -> None:
    over, under = np.array([[1.0], [0.0], [0.0]]), np.array([[1.0], [1.0], [0.0]])
    assert bootstrap(over, under)[0].value == 0.5


def test_a_figure_that_no_question_speaks_to_is_not_a_number() -> None:
    (found,) = bootstrap(np.zeros((3, 1)), np.zeros((3, 1)))
    assert all(np.isnan(found[:3]))
    assert all(np.isnan(bootstrap(np.zeros((0, 1)), np.zeros((0, 1)))[0][:3]))
    assert all(np.isnan(wilson(np.zeros(0), np.zeros(0))[:3]))


def test_figures_of_the_same_questions_are_drawn_together() -> None:
    over, under = column([float(n) for n in range(30)])
    both = bootstrap(np.hstack([over, over + 10]), np.hstack([under, under]))
    assert both[1].low - both[0].low == pytest.approx(10)


def test_a_test_of_few_pairs_is_the_exact_one() -> None:
    one, other = [3.0, 1.0, 4.0, 1.0, 5.0, 9.0, 2.0, 6.0], [2.0, 0.5, 4.5, 0.0, 3.0, 5.0, 2.5, 5.0]
    differences = [a - b for a, b in zip(one, other, strict=True)]
    signs = list(itertools.product((1, -1), repeat=8))
    extreme = sum(abs(sum(s * d for s, d in zip(row, differences, strict=True))) >= sum(differences) for row in signs)
    assert randomisation_test(one, other) == pytest.approx(extreme / len(signs), abs=0.01)


def test_equal_values_do_not_differ_and_constant_gains_do() -> None:
    values = [float(n) for n in range(100)]
    assert randomisation_test(values, values) == 1.0
    assert randomisation_test([], []) == 1.0
    assert randomisation_test([v + 1 for v in values], values) == pytest.approx(1 / 10_001)
    assert randomisation_test(values, [v + 1 for v in values]) == pytest.approx(1 / 10_001)


def test_holms_correction_is_that_of_the_textbook() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []
