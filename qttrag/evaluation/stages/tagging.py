"""Taggers against people: how a tagger's scores of translations go with human judgements of them."""

from __future__ import annotations

import csv
import gzip
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from qttrag.errors import ConfigError, InputError, not_installed
from qttrag.evaluation.report.tables import Grid
from qttrag.evaluation.statistics import SEED, Interval
from qttrag.types import Verdict

_RESAMPLES = 1000  # rank correlations are slow, and their intervals are wide
CORRELATIONS = ("pearsonr", "spearmanr", "kendalltau")
CRITERIA = ("semantic", "grammar", "fluency", "mean")


class Judged(NamedTuple):
    """A translation and what people thought of it; a higher `score` is a better one."""

    original: str
    translation: str
    score: float


def read(path: Path, original: str, translation: str, score: str) -> list[Judged]:
    """Return the rows of a TSV file with a header, of which the columns so called are taken.

    Raises:
        ConfigError: there is no such file.
        InputError: it has no such column, or a score is no number."""
    if not path.is_file():
        raise ConfigError(f"no file '{path}'; check the path")
    with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as stream:
        rows = csv.DictReader(stream, delimiter="\t", quoting=csv.QUOTE_NONE)
        for name in (original, translation, score):
            if name not in (rows.fieldnames or ()):
                raise InputError(f"{path}: no column '{name}' (columns: {', '.join(rows.fieldnames or ())})")
        try:
            return [Judged(row[original], row[translation], float(row[score])) for row in rows]
        except (TypeError, ValueError) as error:
            raise InputError(f"{path}:{rows.line_num}: column '{score}': {error}") from error


def sample(judged: Sequence[Judged], n: int | None) -> list[Judged]:
    """Return `n` of them, the same each time; all if None or there are fewer."""
    if n is None or n >= len(judged):
        return list(judged)
    return random.Random(SEED).sample(judged, n)  # noqa: S311  a sample, no secret


def scores(verdicts: Sequence[Verdict], criterion: str) -> list[float | None]:
    """Return a criterion's scores, or their means over the criteria; None where there are none."""
    found = []
    for verdict in verdicts:
        values = verdict.scores.values() if verdict.scores else None
        found.append(None if values is None else sum(values) / 3 if criterion == "mean" else _one(values, criterion))
    return found


def _one(values: tuple[float, float, float], criterion: str) -> float:
    return values[CRITERIA.index(criterion)]


def correlations(judged: Sequence[Judged], verdicts: Sequence[Verdict]) -> Grid:
    """Return how each criterion goes with the human scores, over the translations that have scores."""
    rows = []
    for criterion in CRITERIA:
        pairs = [(s, j.score) for s, j in zip(scores(verdicts, criterion), judged, strict=True) if s is not None]
        cells = [_shown(correlation(name, pairs)) for name in CORRELATIONS]
        rows.append([criterion, str(len(pairs)), str(len(judged) - len(pairs)), *cells])
    return Grid("tagger against people, 95 % intervals", ["score", "n", "unscored", *CORRELATIONS], rows, [])


def reliability(judged: Sequence[Judged], verdicts: Sequence[Verdict]) -> Grid:
    """Return the mean human score of translations by the tagger's mean score, in steps of a half."""
    found: dict[float, list[float]] = {}
    for score, each in zip(scores(verdicts, "mean"), judged, strict=True):
        if score is not None:
            found.setdefault(int(score * 2) / 2, []).append(each.score)
    rows = [
        [f"{step:.1f}", str(len(found[step])), f"{sum(found[step]) / len(found[step]):.2f}"] for step in sorted(found)
    ]
    return Grid("what people thought, by the tagger's mean score", ["from", "n", "human mean"], rows, [])


def correlation(name: str, pairs: Sequence[tuple[float, float]]) -> Interval:
    """Return a correlation of scipy.stats with its bootstrap interval; NaN where one side does not vary.

    Raises:
        ConfigError: scipy is not installed."""
    import numpy as np

    try:
        from scipy import stats
    except ModuleNotFoundError as error:
        raise ConfigError(not_installed("a correlation", error)) from error
    function: Callable[..., tuple[float, float]] = getattr(stats, name)
    values = np.array(pairs, np.float64).reshape(-1, 2)
    draw = np.random.default_rng(SEED)

    def of(some: np.ndarray[tuple[int, int], np.dtype[np.float64]]) -> float:
        varies = len(some) > 2 and (some.max(axis=0) > some.min(axis=0)).all()
        return float(function(some[:, 0], some[:, 1])[0]) if varies else float("nan")

    drawn = [of(values[draw.integers(0, len(values), len(values))]) for _ in range(_RESAMPLES if len(values) else 0)]
    known = [each for each in drawn if each == each]
    low, high = np.quantile(known, (0.025, 0.975)) if known else (float("nan"),) * 2
    return Interval(of(values), float(low), float(high))


def _shown(interval: Interval) -> str:
    value, low, high = interval
    return "–" if value != value else f"{value:+.3f} [{low:+.3f}, {high:+.3f}]"
