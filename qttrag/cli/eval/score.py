"""`qttrag eval score`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from qttrag.cli import output
from qttrag.cli.eval import options
from qttrag.errors import ConfigError, InputError

if TYPE_CHECKING:
    from qttrag.evaluation.report.tables import Table
    from qttrag.evaluation.runs.folder import Run
    from qttrag.evaluation.runs.scoring import ScoredCell

_MAX_GROUPS = 4  # datasets times generators; with more, the tables of all measures are only written to files


def score(
    run: Annotated[
        str | None, typer.Argument(help="The folder of a run, or the name of its suite; or give --predictions.")
    ] = None,
    predictions: Annotated[
        Path | None, typer.Option(help="Answers of another system: XOR-TyDi's JSON, MKQA's JSONL, BERGEN's, or JSONL.")
    ] = None,
    dataset: Annotated[
        str | None, typer.Option(help='Their questions, as in a suite: "{kind: xor_tydi, file: ./dev.jsonl}".')
    ] = None,
    lang: Annotated[str | None, typer.Option("--lang", "-l", help="The language of their questions.")] = None,
    out: Annotated[
        Path | None, typer.Option(help="The folder for their figures; by default eval/results/NAME-OF-THE-FILE.")
    ] = None,
    against: Annotated[
        str | None, typer.Option(help="Reported figures to show beside ours: a file, or a name in eval/reported/.")
    ] = None,
    measure: options.Measure = None,
    as_json: output.Json = False,
) -> None:
    """Score the answers of a run again, without models, and write its report and tables again.

    Examples:

      qttrag eval score xor-tydi

      qttrag eval score paper --against paper

      qttrag eval score --predictions theirs.json --dataset "{kind: xor_tydi, file: ./dev.jsonl}" --lang ko
    """
    if (run is None) == (predictions is None):
        raise InputError("give either a run or --predictions FILE")
    opened = options.open_run(run) if run else _imported(predictions or Path(), dataset, lang, out, measure)
    write_report(opened, against=against, measure=measure, as_json=as_json)


def _imported(file: Path, dataset: str | None, lang: str | None, out: Path | None, measure: str | None) -> Run:
    """Return the predictions in a file as a run."""
    from pydantic import ValidationError

    from qttrag.config import yaml_files
    from qttrag.evaluation import datasets
    from qttrag.evaluation.datasets import predictions
    from qttrag.evaluation.metrics.registry import check
    from qttrag.evaluation.runs.imported import import_predictions

    if dataset is None or lang is None:
        raise InputError("--predictions needs --dataset and --lang, the questions that were answered")
    settings = output.pairs([f"dataset={dataset}"], "--dataset")["dataset"]
    try:
        parsed = datasets.parse({**settings, "langs": [lang]} if isinstance(settings, dict) else settings)
    except ValidationError as error:
        raise ConfigError(yaml_files.explain(error, "--dataset", {})) from error
    if not isinstance(parsed, datasets.DatasetSettings):
        raise InputError(
            f"--dataset '{dataset}': give settings as in a suite, e.g. \"{{kind: mkqa, file: ./mkqa.jsonl}}\""
        )
    name = file.name.removesuffix(".gz").rsplit(".", 1)[0]
    folder = out or options.results_folder() / name
    return import_predictions(folder, name, predictions.read(str(file)), parsed, lang, check(measure or "char3_fair"))


def write_report(run: Run, *, against: str | None, measure: str | None, as_json: bool) -> list[ScoredCell]:
    """Score a run, write scores.json, report.html and its tables, and print the figures; return the scored cells."""
    from qttrag.evaluation.metrics.registry import check
    from qttrag.evaluation.report import cost, page, reported, sensitivity, tables, tag_controls
    from qttrag.evaluation.report.gaps import gaps
    from qttrag.evaluation.runs import figures, overlap, scoring
    from qttrag.evaluation.runs.folder import write_file

    published = reported.load(against) if against else None
    name = check(measure or run.headline.measure)
    scored = scoring.score(run)
    by_cell, data = figures.figures(scored), figures.as_document(run, scored).model_dump(mode="json")
    comparisons = figures.comparisons(scored, name, run.headline.over)
    groups = list(dict.fromkeys(cell.cell[:2] for cell in scored))
    failed = {cell.cell: len(cell.failed) for cell in scored}
    notes = gaps(run, scored)
    if published:
        notes = [f"not comparable: {each}" for each in published.differences(run, scored)] + notes
    summary = [tables.main_table(by_cell, name, failed), tables.comparison_table(comparisons)]
    if published:
        summary.append(tables.beside_reported(by_cell, published))
        further = tables.further_reported(by_cell, published)
        summary += [further] if further.rows else []
    controls = tag_controls.findings(run, scored, by_cell)
    summary += controls.tables
    notes = [*controls.sentences, *notes]
    parallel = tables.across_languages(overlap.overlaps(scored))
    complete = [
        *summary,
        *([parallel] if parallel else []),
        *sensitivity.tables(run, scored, by_cell),
        cost.table(scored),
        *(tables.all_measures(by_cell, *group) for group in groups),
    ]
    write_file(run.folder / "scores.json", json.dumps(data, ensure_ascii=False, indent=2, allow_nan=False))
    write_file(run.folder / "report.html", page.page(run, scored, by_cell, complete, findings=controls.sentences))
    write_file(run.folder / "tables.md", tables.markdown(complete, notes))
    write_file(run.folder / "tables.tex", tables.latex(complete))
    if as_json:
        output.say_json(data)
        return scored
    for note in notes:
        output.console().print(f"note: {output.printable(note)}", markup=False)
    for table in complete if len(groups) <= _MAX_GROUPS else summary:
        print_table(table)
    output.say(f"all measures and signatures: {run.folder}/tables.md, report.html, scores.json")
    return scored


def print_table(table: Table) -> None:
    console = output.console()
    console.print(f"\n{output.printable(table.title)}", style="bold", markup=False)
    output.print_fitting(console, table.columns, table.rows)
    if table.signatures:
        console.print(f"e.g. {output.printable(table.signatures[0])}", style="dim", markup=False, soft_wrap=True)
