"""Options that several commands of `qttrag eval` have, and the run that an argument names."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from qttrag.errors import InputError, unknown

if TYPE_CHECKING:
    from qttrag.evaluation.runs.folder import Run
    from qttrag.evaluation.runs.scoring import ScoredCell

RunFolder = Annotated[str, typer.Argument(help="The folder of a run, or the name of its suite.")]
Measure = Annotated[
    str | None, typer.Option("--measure", "-m", help="The measure; by default that of the suite's headline.")
]
RetrievalMeasures = Annotated[
    str | None, typer.Option("--measures", help='Names of ir-measures, e.g. "nDCG@20 AP R@100 Success@5".')
]
Sample = Annotated[int | None, typer.Option(min=1, help="Only this many, at random, the same each time.")]
TrecRun = Annotated[Path | None, typer.Option(help="A TREC run.")]
IdTable = Annotated[Path | None, typer.Option(help="The id table of the TREC run: TSV lines theirs<TAB>ours<TAB>lang.")]


def results_folder() -> Path:
    from qttrag import resources

    return resources.results_folder()


def open_run(value: str) -> Run:
    """Return the run in a folder, or in the results of the suite of that name."""
    from qttrag.evaluation.runs import folder

    path = Path(value)
    return folder.open_run(path if path.is_dir() else results_folder() / value)


def check_strategies(scored: Sequence[ScoredCell], *names: str | None) -> None:
    """Raise an InputError if a run has no answers of a strategy."""
    known = list(dict.fromkeys(cell.cell.strategy for cell in scored))
    for name in names:
        if name is not None and name not in known:
            raise InputError(unknown("strategy", name, known))


def retrieval_measures(value: str | None) -> Sequence[str]:
    """Return the names in the value of --measures, separated by spaces or commas; without a value, the usual ones."""
    from qttrag.evaluation.metrics import retrieval

    return retrieval.parse(value.replace(",", " ").split()) if value else retrieval.NAMES
