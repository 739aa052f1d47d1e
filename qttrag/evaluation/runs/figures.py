"""The figures of scored cells with their intervals, and comparisons of cells."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import qttrag
from qttrag.evaluation import document
from qttrag.evaluation.document import ComparisonEntry, Document, Figure
from qttrag.evaluation.metrics.registry import Values, check, measures
from qttrag.evaluation.runs.answer_files import Cell
from qttrag.evaluation.runs.folder import Run
from qttrag.evaluation.runs.overlap import overlaps
from qttrag.evaluation.runs.scoring import ScoredCell
from qttrag.evaluation.statistics import Interval, IntervalMethod, holm, intervals, paired_difference

if TYPE_CHECKING:
    from qttrag.evaluation.statistics import Floats


RIGHT = 0.5
"""An answer with at least this value of the headline's measure counts as right."""


class Comparison(NamedTuple):
    """The difference of strategy `of` to strategy `over` on the `n` questions that both answered, and its p-value.

    `p_holm`: corrected for all comparisons made together. `degraded_of`, `degraded_over`: how many of these answers of
    each strategy lack something because a stage was unavailable."""

    dataset: str
    generator: str
    of: str
    over: str
    measure: str
    difference: Interval
    n: int
    p: float
    p_holm: float
    degraded_of: int = 0
    degraded_over: int = 0


def figures(scored: Sequence[ScoredCell]) -> dict[Cell, dict[str, Figure]]:
    """Return the figures of every cell by measure; a measure that can tell nothing of any answer is left out."""
    by_cell: dict[Cell, dict[str, Figure]] = {}
    groups: dict[tuple[str, ...], list[ScoredCell]] = defaultdict(list)
    for cell in scored:
        groups[tuple(sorted(cell.values))].append(cell)
    names = list(measures())
    for ids, group in groups.items():  # cells of the same questions are resampled together
        over, under = _columns(group, names, ids)
        computed = intervals(over, under, [measures()[name].unit == "%" for name in names] * len(group))
        for block, cell in enumerate(group):
            columns = slice(block * len(names), (block + 1) * len(names))
            zeros = _as_zero(names, over[:, columns], under[:, columns], len(cell.failed))
            by_name = {}
            for column, name in enumerate(names, block * len(names)):
                n = int((under[:, column] != 0).sum())
                if n:
                    signed = signature(name, cell, n, computed[column].method)
                    by_name[name] = Figure(computed[column], n, signed, zeros.get(name))
            by_cell[cell.cell] = by_name
    return {cell.cell: by_cell[cell.cell] for cell in scored}


def _as_zero(names: Sequence[str], over: Floats, under: Floats, failed: int) -> dict[str, Interval]:
    """Return the figures with `failed` more questions that count as zero, of measures of which more is better."""
    import numpy as np

    chosen = [n for n, name in enumerate(names) if measures()[name].unit == "%" and not measures()[name].less]
    if not failed or not len(over):
        return {}
    more = np.zeros((failed, len(chosen)))
    computed = intervals(
        np.vstack([over[:, chosen], more]), np.vstack([under[:, chosen], more + 1]), [True] * len(chosen)
    )
    return {names[n]: interval for n, interval in zip(chosen, computed, strict=True)}


def _columns(scored: Sequence[ScoredCell], names: Sequence[str], ids: Sequence[str]) -> tuple[Floats, Floats]:
    """Return (over, under) of every measure of every cell, shape (ids, cells x measures)."""
    import numpy as np

    both = np.zeros((2, len(ids), len(scored) * len(names)))
    for block, cell in enumerate(scored):
        for row, question_id in enumerate(ids):
            values = cell.values.get(question_id)
            if values:
                for column, name in enumerate(names, block * len(names)):
                    if name in values:
                        both[:, row, column] = values[name]
    return both[0], both[1]


def signature(name: str, scored: ScoredCell, n: int, method: IntervalMethod) -> str:
    """Return the exact definition of a figure in one line."""
    cell, measure = scored.cell, measures()[name]
    references = scored.references.official if measure.official else scored.references.given
    return (
        f"{measure.signature}|data:{cell.dataset}|{references}|lang:{scored.lang}"
        f"|generator:{cell.generator}|strategy:{cell.strategy}|n:{n}|ci:{method}|v:{qttrag.__version__}"
    )


def comparisons(scored: Sequence[ScoredCell], name: str, over: str) -> list[Comparison]:
    """Return the comparison of every strategy with the strategy `over`, within each dataset and generator.

    Raises:
        ConfigError: there is no such measure."""
    check(name)
    pairs = []
    for other in (cell for cell in scored if cell.cell.strategy == over):
        for one in scored:
            if one.cell[:2] == other.cell[:2] and one is not other:
                pairs.append((one, other))
    return compare(pairs, name)


def compare(pairs: Sequence[tuple[ScoredCell, ScoredCell]], name: str) -> list[Comparison]:
    """Return the comparison of each pair, corrected for all of them; a pair without common questions is left out."""
    compared = [comparison for one, other in pairs if (comparison := _compare(one, other, name)) is not None]
    corrected = holm([comparison.p for comparison in compared])
    return [comparison._replace(p_holm=p) for comparison, p in zip(compared, corrected, strict=True)]


def _compare(one: ScoredCell, other: ScoredCell, name: str) -> Comparison | None:
    ids = sorted(one.values.keys() & other.values.keys())
    columns = ([value(cell.values[question_id], name) for question_id in ids] for cell in (one, other))
    pairs = [(a, b) for a, b in zip(*columns, strict=True) if not (math.isnan(a) or math.isnan(b))]
    if not pairs:
        return None
    interval, p = paired_difference(pairs)
    cell = one.cell
    degraded = (sum(each.answers[question_id].degraded for question_id in ids) for each in (one, other))
    return Comparison(
        cell.dataset, cell.generator, cell.strategy, other.cell.strategy, name, interval, len(pairs), p, p, *degraded
    )


def value(values: Values, name: str) -> float:
    """Return the value of a measure for one answer, NaN if it cannot tell."""
    over, under = values.get(name, (0.0, 0.0))
    return over / under if under else math.nan


def as_document(run: Run, scored: Sequence[ScoredCell]) -> Document:
    """Return all figures of a run as in `scores.json`."""
    by_cell = figures(scored)
    headline = run.headline
    return Document(
        command="run",
        suite=run.name,
        headline=headline.model_dump(),
        notes=list(run.notes),
        cells=[
            document.cell(
                by_cell[cell.cell],
                **cell.cell._asdict(),
                lang=cell.lang,
                answered=len(cell.answers),
                failed=len(cell.failed),
                degraded=len(cell.degraded),
                unscored=dict(cell.causes),
            )
            for cell in scored
        ],
        comparisons=[as_entry(comparison) for comparison in comparisons(scored, headline.measure, headline.over)],
        overlaps=[
            document.cell(each.figures, **{k: v for k, v in each._asdict().items() if k != "figures"})
            for each in overlaps(scored)
        ],
    )


def as_entry(comparison: Comparison) -> ComparisonEntry:
    """Return a comparison as in `scores.json`."""
    c = comparison
    signature = f"{measures()[c.measure].signature}|difference|n:{c.n}|ci:{c.difference.method}|v:{qttrag.__version__}"
    difference = document.entry(Figure(c.difference, c.n, signature))
    return ComparisonEntry.model_validate({**c._asdict(), "difference": difference})
