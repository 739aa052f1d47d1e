"""The figures of scored cells with their intervals, and comparisons of cells."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import qttrag
from qttrag.evaluation.metrics.registry import Values, check, measures
from qttrag.evaluation.runs.answer_files import Cell
from qttrag.evaluation.runs.folder import Run
from qttrag.evaluation.runs.scoring import ScoredCell
from qttrag.evaluation.statistics import Interval, IntervalMethod, bootstrap, holm, intervals, randomisation_test

if TYPE_CHECKING:
    from qttrag.evaluation.statistics import Floats


class Figure(NamedTuple):
    """The figure of a measure over the `n` answers that it can tell something about, with its signature."""

    interval: Interval
    n: int
    signature: str


class Comparison(NamedTuple):
    """The difference of strategy `of` to strategy `over` on the `n` questions that both answered, and its p-value.

    `p_holm`: corrected for all comparisons made together."""

    dataset: str
    generator: str
    of: str
    over: str
    measure: str
    difference: Interval
    n: int
    p: float
    p_holm: float


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
            by_name = {}
            for column, name in enumerate(names, block * len(names)):
                n = int((under[:, column] != 0).sum())
                if n:
                    by_name[name] = Figure(computed[column], n, signature(name, cell, n, computed[column].method))
            by_cell[cell.cell] = by_name
    return {cell.cell: by_cell[cell.cell] for cell in scored}


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
    import numpy as np

    ids = sorted(one.values.keys() & other.values.keys())
    columns = ([value(cell.values[question_id], name) for question_id in ids] for cell in (one, other))
    pairs = [(a, b) for a, b in zip(*columns, strict=True) if not (math.isnan(a) or math.isnan(b))]
    if not pairs:
        return None
    difference = np.array([[a - b] for a, b in pairs])
    (interval,) = bootstrap(difference, np.ones_like(difference))
    p = randomisation_test(*zip(*pairs, strict=True))
    cell = one.cell
    return Comparison(
        cell.dataset, cell.generator, cell.strategy, other.cell.strategy, name, interval, len(pairs), p, p
    )


def value(values: Values, name: str) -> float:
    """Return the value of a measure for one answer, NaN if it cannot tell."""
    over, under = values.get(name, (0.0, 0.0))
    return over / under if under else math.nan


def as_json(run: Run, scored: Sequence[ScoredCell]) -> dict[str, Any]:
    """Return all figures of a run as in `scores.json`; shares are in [0, 1], not per cent."""
    by_cell = figures(scored)
    headline = run.headline
    return {
        "suite": run.name,
        "qttrag": qttrag.__version__,
        "notes": list(run.notes),
        "headline": headline.model_dump(),
        "cells": [
            {
                **cell.cell._asdict(),
                "lang": cell.lang,
                "answered": len(cell.answers),
                "failed": len(cell.failed),
                "unscored": dict(cell.causes),
                "figures": {
                    name: {**figure.interval._asdict(), "n": figure.n, "signature": figure.signature}
                    for name, figure in by_cell[cell.cell].items()
                },
            }
            for cell in scored
        ],
        "comparisons": [
            {**comparison._asdict(), "difference": comparison.difference._asdict()}
            for comparison in comparisons(scored, headline.measure, headline.over)
        ],
    }
