"""Two TREC runs compared by retrieval measures on the same judged queries, with paired tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import qttrag
from qttrag.evaluation import document
from qttrag.evaluation.datasets import trec
from qttrag.evaluation.datasets.documents import as_judged
from qttrag.evaluation.document import ComparisonEntry, Figure
from qttrag.evaluation.metrics import retrieval
from qttrag.evaluation.report.tables import Table, interval_text
from qttrag.evaluation.statistics import Interval, holm, paired_difference


class RankingDifference(NamedTuple):
    """The mean difference of run `of` to run `over` by one measure over `n` judged queries. A query that a run does not
    rank counts as zero. `p_holm`: corrected for all measures."""

    of: str
    over: str
    measure: str
    values: tuple[float, float]
    difference: Interval
    n: int
    p: float
    p_holm: float


def compare(
    over: Path, of: Path, qrels: Path, measures: Sequence[str] = retrieval.NAMES
) -> tuple[list[RankingDifference], list[str]]:
    """Return the difference by each of `measures`, names of ir-measures, and notes on skipped lines.

    Raises:
        ConfigError: a file does not exist, or ir-measures is not installed.
        InputError: a line is invalid, or the qrels judge no query of a run."""
    judged = trec.read_qrels(qrels)
    notes: list[str] = []
    one, other = (_by_query(path, judged, measures, qrels, notes) for path in (of, over))
    compared = [
        (name, *paired_difference([(one[query][name], other[query][name]) for query in judged])) for name in measures
    ]
    corrected = holm([p for _, _, p in compared])
    return [
        RankingDifference(of.name, over.name, name, (_mean(one, name), _mean(other, name)), interval, len(judged), p, q)
        for (name, interval, p), q in zip(compared, corrected, strict=True)
    ], notes


def _by_query(
    path: Path, judged: Mapping[str, Mapping[str, int]], measures: Sequence[str], qrels: Path, notes: list[str]
) -> dict[str, dict[str, float]]:
    run = trec.read_run(path)
    notes += trec.compared(path, run, qrels, judged)
    ids = {query: [entry.passage_id for entry in run.rankings.get(query, ())] for query in judged}
    return retrieval.by_query(judged, as_judged(ids, judged), measures)


def _mean(values: Mapping[str, Mapping[str, float]], name: str) -> float:
    return sum(each[name] for each in values.values()) / len(values)


def table(title: str, differences: Sequence[RankingDifference]) -> Table:
    """Return a table with a row per measure."""
    rows = [
        [d.measure, str(d.n), *(f"{100 * value:.1f}" for value in d.values), interval_text(d.difference, sign=True),
         f"{d.p:.4f}", f"{d.p_holm:.4f}"]
        for d in differences
    ]  # fmt: skip
    names = (differences[0].of, differences[0].over) if differences else ("of", "over")
    columns = ["measure", "n", *(f"{name} %" for name in names), "difference", "p", "p (Holm)"]
    return Table(f"{title}, 95 % intervals", columns, rows, [_signature(d) for d in differences])


def as_entry(difference: RankingDifference) -> ComparisonEntry:
    """Return a difference as `--json` prints it."""
    d = difference
    difference_entry = document.entry(Figure(d.difference, d.n, _signature(d)))
    fields = {name: value for name, value in d._asdict().items() if name != "values"}
    return ComparisonEntry.model_validate({**fields, "difference": difference_entry})


def _signature(d: RankingDifference) -> str:
    return f"{d.measure}|trec_eval|difference|n:{d.n}|ci:{d.difference.method}|v:{qttrag.__version__}"
