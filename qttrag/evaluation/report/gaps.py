"""What the figures of a run lack, and why: failed questions, unscored translations, degraded answers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from qttrag.evaluation.runs.folder import Run
from qttrag.evaluation.runs.scoring import ScoredCell


def gaps(run: Run, scored: Sequence[ScoredCell]) -> list[str]:
    """Return what a reader of the figures should know, the most important first; the notes of the run come last."""
    by_cell = [gap for read in (_failed, _degraded, _unscored) for cell in scored for gap in read(cell)]
    judges = dict.fromkeys(judge for cell in scored for judge in cell.judges)
    return [*by_cell, *judges, *run.notes]


def _failed(cell: ScoredCell) -> list[str]:
    if not cell.failed:
        return []
    (error, _), *_ = Counter(cell.failed.values()).most_common(1)
    of = "all" if not cell.answers else f"{len(cell.failed)} of {len(cell.answers) + len(cell.failed)}"
    return [f"{_name(cell)}: {of} failed, e.g. {error}; `qttrag eval run` repeats them with --retry-failed"]


def _degraded(cell: ScoredCell) -> list[str]:
    n = len(cell.degraded)
    return [f"{_name(cell)}: {n} answers are degraded by an outage; --retry-degraded repeats them"] if n else []


def _unscored(cell: ScoredCell) -> list[str]:
    return [f"{_name(cell)}: {n} translations unscored: {cause}" for cause, n in sorted(cell.causes.items())]


def _name(cell: ScoredCell) -> str:
    return " · ".join(cell.cell)
