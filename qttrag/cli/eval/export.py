"""`qttrag eval export`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from qttrag.cli import output
from qttrag.cli.eval import options
from qttrag.errors import InputError, unknown

if TYPE_CHECKING:
    from qttrag.evaluation.datasets.predictions import Format
    from qttrag.evaluation.runs.answer_files import Cell
    from qttrag.evaluation.runs.folder import Run

_SUFFIXES = {"xor_tydi": "json", "mkqa": "jsonl", "jsonl": "jsonl", "parquet": "parquet", "trec": "trec"}


def export(
    run: options.RunFolder,
    to: Annotated[str, typer.Option("--to", help=f"The format: {', '.join(_SUFFIXES)}.")],
    out: Annotated[Path, typer.Option(help="The folder to write to, a file for each row, generator and strategy.")],
    passages: Annotated[
        bool, typer.Option("--passages", help="trec: the ids of passages; by default, of the documents they are from.")
    ] = False,
) -> None:
    """Write the answers of a run in the format of an official scorer, or its rankings as TREC runs.

    Examples:

      qttrag eval export xor-tydi --to xor_tydi --out predictions/

      qttrag eval export demo --to trec --out runs/
    """
    from qttrag.evaluation.datasets import predictions
    from qttrag.evaluation.runs.answer_files import latest

    if to not in _SUFFIXES:
        raise InputError(unknown("format", to, _SUFFIXES))
    opened = options.open_run(run)
    for cell in opened.cells():
        path = out / f"{'.'.join(cell).replace(' ', '-')}.{_SUFFIXES[to]}"
        if to == "trec":
            _write_rankings(path, opened, cell, passages=passages)
        else:
            by_id = latest(cell.file(opened.folder))
            ids = [question.question_id for question in opened.questions(cell.dataset)]
            predictions.write(path, [by_id[i] for i in ids if i in by_id], cast("Format", to))
        output.say(str(path))


def _write_rankings(path: Path, run: Run, cell: Cell, *, passages: bool) -> None:
    from qttrag.evaluation.datasets import documents, trec
    from qttrag.evaluation.runs.answer_files import latest

    rankings = {
        answer.question_id: [trec.RunEntry(passage.passage_id, passage.score) for passage in answer.ranking]
        for answer in latest(cell.file(run.folder)).values()
        if answer.ranking
    }
    collections = list(run.identity.get("collections", ()))
    if collections and not passages:
        rankings = documents.document_rankings(rankings, collections)
    path.parent.mkdir(parents=True, exist_ok=True)
    trec.write_run(path, rankings)
