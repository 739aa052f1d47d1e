"""The correlation of a tagger's scores of translations with human scores."""

from __future__ import annotations

import math
import random
import statistics
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import qttrag
from qttrag.errors import ConfigError, InputError
from qttrag.evaluation import document
from qttrag.evaluation.document import Document, Figure
from qttrag.evaluation.report.tables import Table, interval_text
from qttrag.evaluation.stages.text_files import tsv_rows
from qttrag.evaluation.statistics import SEED, Interval
from qttrag.protocols import QualityTagger
from qttrag.types import CRITERIA, Lang, QualityScores, Verdict

_AT_ONCE = 32  # translations: two batches of a model in this process
_RESAMPLES = 1000  # rank correlations are slow to compute, and their intervals are wide
CORRELATIONS = ("pearsonr", "spearmanr", "kendalltau")


class JudgedTranslation(NamedTuple):
    """A translation with its human score; higher is better."""

    original: str
    translation: str
    score: float


def read(path: Path, original: str, translation: str, score: str) -> list[JudgedTranslation]:
    """Return the rows of a TSV file with a header; the other parameters are names of columns.

    Raises:
        ConfigError: the file does not exist.
        InputError: a column is missing, or a score is not a number."""
    with tsv_rows(path, (original, translation, score)) as rows:
        try:
            return [JudgedTranslation(row[original], row[translation], float(row[score])) for row in rows]
        except (TypeError, ValueError) as error:
            raise InputError(f"{path}:{rows.line_num}: column '{score}': {error}") from error


def sample(judged: Sequence[JudgedTranslation], n: int | None) -> list[JudgedTranslation]:
    """Return `n` random translations, equal for equal `n`; all if `n` is None or there are fewer."""
    if n is None or n >= len(judged):
        return list(judged)
    return random.Random(SEED).sample(judged, n)  # noqa: S311  not a secret


async def verdicts_of(
    tagger: QualityTagger, judged: Sequence[JudgedTranslation], source: Lang, target: Lang
) -> list[Verdict]:
    """Return the tagger's verdicts, scored in parts, so that no call exceeds its time limit by waiting."""
    verdicts: list[Verdict] = []
    for start in range(0, len(judged), _AT_ONCE):
        part = judged[start : start + _AT_ONCE]
        originals, translations = [each.original for each in part], [each.translation for each in part]
        verdicts += await tagger.score(originals, translations, [source] * len(part), target)
    return verdicts


def scores(verdicts: Sequence[Verdict], criterion: str) -> list[float | None]:
    """Return the score of each verdict by a criterion, or the mean over its criteria; None if it has no such score."""
    return [_score(verdict.scores, criterion) if verdict.scores else None for verdict in verdicts]


def _score(scores: QualityScores, criterion: str) -> float | None:
    if criterion == "mean":
        return statistics.fmean(scores.values())
    return next((score for name, score in scores.measured().items() if name == criterion), None)


def _criteria(verdicts: Sequence[Verdict]) -> list[str]:
    """Return the criteria of the verdicts, and "mean" after several; all if there are no scores."""
    measured = {name for verdict in verdicts if verdict.scores for name in verdict.scores.measured()} or set(CRITERIA)
    return [*(name for name in CRITERIA if name in measured), *(["mean"] if len(measured) > 1 else [])]


class TaggerCell(NamedTuple):
    """The correlations of one criterion with the human scores, over the `n` translations that have its score."""

    criterion: str
    n: int
    unscored: int
    figures: dict[str, Figure]


def correlations(judged: Sequence[JudgedTranslation], verdicts: Sequence[Verdict], about: str) -> list[TaggerCell]:
    """Return a cell for each criterion that the verdicts have, and for their mean. `about`: for the signatures.

    Raises:
        ConfigError: scipy is not installed."""
    return [_cell(criterion, scores(verdicts, criterion), judged, about) for criterion in _criteria(verdicts)]


def _cell(
    criterion: str, values: Sequence[float | None], judged: Sequence[JudgedTranslation], about: str
) -> TaggerCell:
    pairs = [(value, each.score) for value, each in zip(values, judged, strict=True) if value is not None]
    figures = {}
    for name in CORRELATIONS:
        interval, n = correlation(name, pairs), len(pairs)
        signature = f"{name}|criterion:{criterion}|{about}|n:{n}|ci:{interval.method}|v:{qttrag.__version__}"
        figures[name] = Figure(interval, n, signature)
    return TaggerCell(criterion, len(pairs), len(judged) - len(pairs), figures)


def table(cells: Sequence[TaggerCell]) -> Table:
    rows = [
        [
            cell.criterion,
            str(cell.n),
            str(cell.unscored),
            *(interval_text(figure.interval, 1, sign=True, digits=3) for figure in cell.figures.values()),
        ]
        for cell in cells
    ]
    signatures = [figure.signature for cell in cells for figure in cell.figures.values()]
    columns = ["score", "n", "unscored", *CORRELATIONS]
    return Table("tagger against human scores, 95 % intervals", columns, rows, signatures)


def as_document(cells: Sequence[TaggerCell], notes: Sequence[str]) -> Document:
    """Return the figures as `--json` prints them."""
    entries = [document.cell(c.figures, criterion=c.criterion, n=c.n, unscored=c.unscored) for c in cells]
    return Document(command="tagger", notes=list(notes), cells=entries)


def reliability(judged: Sequence[JudgedTranslation], verdicts: Sequence[Verdict]) -> Table:
    """Return the mean human score of translations by the tagger's mean score, in steps of a half."""
    human: dict[float, list[float]] = {}
    for score, each in zip(scores(verdicts, "mean"), judged, strict=True):
        if score is not None:
            human.setdefault(int(score * 2) / 2, []).append(each.score)
    rows = [
        [f"{step:.1f}", str(len(human[step])), f"{sum(human[step]) / len(human[step]):.2f}"] for step in sorted(human)
    ]
    return Table("human scores by the tagger's mean score", ["from", "n", "human mean"], rows, [])


def correlation(name: str, pairs: Sequence[tuple[float, float]]) -> Interval:
    """Return a correlation of scipy.stats with its bootstrap interval; NaN if one side does not vary.

    Raises:
        ConfigError: scipy is not installed."""
    import numpy as np

    try:
        from scipy import stats
    except ModuleNotFoundError as error:
        raise ConfigError(f"correlations need the package '{error.name}'; pip install 'qttrag[eval]'") from error
    function: Callable[..., tuple[float, float]] = getattr(stats, name)
    values = np.array(pairs, np.float64).reshape(-1, 2)
    draw = np.random.default_rng(SEED)

    def of(some: np.ndarray[tuple[int, int], np.dtype[np.float64]]) -> float:
        varies = len(some) > 2 and (some.max(axis=0) > some.min(axis=0)).all()
        return float(function(some[:, 0], some[:, 1])[0]) if varies else float("nan")

    drawn = [of(values[draw.integers(0, len(values), len(values))]) for _ in range(_RESAMPLES if len(values) else 0)]
    known = [each for each in drawn if not math.isnan(each)]
    low, high = np.quantile(known, (0.025, 0.975)) if known else (float("nan"),) * 2
    return Interval(of(values), float(low), float(high))
