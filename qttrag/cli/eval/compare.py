"""`qttrag eval compare`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from qttrag.cli import output
from qttrag.cli.eval import options
from qttrag.cli.eval.score import print_table
from qttrag.errors import InputError

_Compared = Annotated[
    str, typer.Argument(help="The folder of a run, or the name of its suite; with --qrels, a TREC run.")
]


def compare(
    a: _Compared,
    b: _Compared,
    measure: options.Measure = None,
    qrels: Annotated[Path | None, typer.Option(help="TREC qrels: compare the rankings of two TREC runs.")] = None,
    measures: options.RetrievalMeasures = None,
    as_json: output.Json = False,
) -> None:
    """Compare two runs cell by cell: B minus A on the questions that both answered.

    Examples:

      qttrag eval compare eval/results/before eval/results/after -m char3_fair

      qttrag eval compare bm25.trec dense.trec --qrels dev.qrels --measures "nDCG@10 AP"
    """
    if qrels:
        _compare_rankings(Path(a), Path(b), qrels, measures, as_json=as_json)
    elif measures:
        raise InputError("--measures are those of TREC runs, which need --qrels; for answers, use --measure")
    else:
        _compare_answers(a, b, measure, as_json=as_json)


def _compare_answers(a: str, b: str, measure: str | None, *, as_json: bool) -> None:
    from qttrag.evaluation.document import Document
    from qttrag.evaluation.metrics.registry import check
    from qttrag.evaluation.report.tables import comparison_table
    from qttrag.evaluation.runs import figures, scoring
    from qttrag.evaluation.runs.provenance import differences

    first, second = options.open_run(a), options.open_run(b)
    name = check(measure or second.headline.measure)
    first_cells, second_cells = ({cell.cell: cell for cell in scoring.score(run)} for run in (first, second))
    pairs = [(second_cells[cell], first_cells[cell]) for cell in second_cells if cell in first_cells]
    comparisons = figures.compare(pairs, name)
    provenance = differences(first.identity, second.identity)
    if as_json:
        entries = [figures.as_entry(comparison) for comparison in comparisons]
        notes = [f"differs in {difference}" for difference in provenance]
        output.say_json(Document(command="compare", notes=notes, comparisons=entries).model_dump(mode="json"))
        return
    print_table(comparison_table(comparisons))
    for difference in provenance:
        output.say(f"differs in {output.printable(difference)}")


def _compare_rankings(a: Path, b: Path, qrels: Path, measures: str | None, *, as_json: bool) -> None:
    from qttrag.evaluation.document import Document
    from qttrag.evaluation.stages import rankings

    differences, notes = rankings.compare(a, b, qrels, options.retrieval_measures(measures))
    if as_json:
        entries = [rankings.as_entry(each) for each in differences]
        output.say_json(Document(command="compare", notes=notes, comparisons=entries).model_dump(mode="json"))
        return
    print_table(rankings.table(f"{b.name} minus {a.name}", differences))
    for note in notes:
        output.say(f"note: {output.printable(note)}")
