"""`qttrag eval flags`: measure the checks for critical errors."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from qttrag.cli import output
from qttrag.cli.eval.score import print_table
from qttrag.errors import InputError


def flags(
    file: Annotated[Path, typer.Argument(help="A TSV file (also .gz) of good translations, or a file of originals.")],
    source: Annotated[str, typer.Option("--from", "-f", help="The language of the originals.")],
    target: Annotated[str, typer.Option("--to", "-t", help="The language of the translations.")],
    translations: Annotated[
        Path | None, typer.Argument(help="The translations, where both files have one text a line.")
    ] = None,
    columns: Annotated[
        str, typer.Option(help="The columns of original, translation and, if there is one, damaged translation.")
    ] = "src,mt",
    as_json: output.Json = False,
) -> None:
    """Measure the checks for critical errors: false alarms on good translations, recall on damaged ones.

    Examples:

      qttrag eval flags eng.txt kor.txt --from en --to ko

      qttrag eval flags demetr.tsv --from zh --to en --columns src_sent,mt_sent,pert_sent
    """
    from qttrag.evaluation.stages import critical_errors
    from qttrag.text.languages import language

    names = columns.split(",")
    if len(names) not in (2, 3):
        raise InputError(f"--columns '{columns}': name two or three columns, original,translation[,damaged]")
    pairs = critical_errors.read_lines(file, translations) if translations else critical_errors.read(file, names)
    one, other = language(source).code, language(target).code
    cells = critical_errors.measured(pairs, one, other)
    if as_json:
        output.say_json(critical_errors.as_document(cells).model_dump(mode="json"))
    else:
        print_table(critical_errors.table(cells, one, other))
