"""`qttrag eval run|score|compare|show`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from qttrag.cli import output
from qttrag.errors import InputError, unknown

if TYPE_CHECKING:
    from qttrag.evaluation.report.tables import Grid
    from qttrag.evaluation.runs.folder import Run
    from qttrag.evaluation.runs.answer_files import Record
    from qttrag.evaluation.runs.runner import Outcome, Progress
    from qttrag.evaluation.runs.scoring import Scored

app = typer.Typer(no_args_is_help=True, help="Answer the questions of a suite, and score the answers.")
RunFolder = Annotated[str, typer.Argument(help="A run's folder, or the name of its suite.")]
Against = Annotated[
    str | None, typer.Option(help="Reported figures to put beside: a name in eval/reported/, or a file.")
]
Measure = Annotated[str | None, typer.Option("--measure", "-m", help="The measure; else that of the suite's headline.")]
_PLACES = 4  # a run of more of them has its tables of every measure in files alone


@app.command("run")
def run_command(
    suite: Annotated[str, typer.Argument(help="A suite's file, or its name in eval/.")],
    out: Annotated[Path | None, typer.Option(help="The run's folder; eval/results/SUITE if absent.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first questions of each row.")] = None,
    sample: Annotated[int | None, typer.Option(min=1, help="Only so many questions of each row, at random.")] = None,
    run: Annotated[Path | None, typer.Option(help="A TREC run to take instead of searching.")] = None,
    run_ids: Annotated[
        Path | None, typer.Option(help="A table of its passages' ids: theirs<TAB>ours<TAB>lang.")
    ] = None,
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Ask again what failed before.")] = False,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", help="Override a setting of the suite, e.g. --set in_flight=64. Repeatable."),
    ] = None,
    as_json: output.Json = False,
) -> None:
    """Answer every question under every strategy and generator of a suite, and score the answers.

    Stopped at any moment, the same command goes on; what is answered costs nothing again.

    Examples:

      qttrag eval run xor-tydi

      qttrag eval run demo --sample 40

      qttrag eval run my-suite.yaml --set deployment=laptop --set set.generator.model=Qwen/Qwen2.5-7B-Instruct
    """
    from qttrag.evaluation import suites
    from qttrag.evaluation.runs import runner

    given = {"file": str(run), "ids": str(run_ids) if run_ids else None} if run else None
    loaded = suites.load(suite, {**output.pairs(settings, "--set"), **({"run": given} if given else {})})
    folder = out or _results() / loaded.name
    choice = runner.Choice(limit=limit, sample=sample, retry_failed=retry_failed)
    with _Bar() as bar:
        outcome = output.run(runner.run(loaded, folder, choice=choice, on_progress=bar))
    _say_outcome(outcome)
    _report(outcome.run, against=None, measure=None, as_json=as_json)


@app.command()
def score(run: RunFolder, against: Against = None, measure: Measure = None, as_json: output.Json = False) -> None:
    """Score the answers of a run again, without models, and write its tables anew.

    Examples:

      qttrag eval score xor-tydi

      qttrag eval score paper --against paper
    """
    _report(_open(run), against=against, measure=measure, as_json=as_json)


@app.command()
def compare(a: RunFolder, b: RunFolder, measure: Measure = None, as_json: output.Json = False) -> None:
    """Compare two runs, cell by cell: B minus A on the questions that both answered.

    Example: qttrag eval compare eval/results/before eval/results/after -m char3_fair
    """
    from qttrag.evaluation.metrics.registry import check
    from qttrag.evaluation.report.tables import comparison_table
    from qttrag.evaluation.runs import scoring
    from qttrag.evaluation.runs.provenance import differences

    runs = _open(a), _open(b)
    name = check(measure or runs[1].headline.measure)
    first, second = ({each.cell: each for each in scoring.score(run)} for run in runs)
    found = scoring.compare([(second[cell], first[cell]) for cell in second if cell in first], name)
    apart = differences(runs[0].identity, runs[1].identity)
    if as_json:
        compared = [{**each._asdict(), "difference": each.difference._asdict()} for each in found]
        output.say_json({"comparisons": compared, "provenance": apart})
        return
    show_grid(comparison_table(found))
    for line in apart:
        output.say(f"differs in {output.printable(line)}")


@app.command()
def show(
    run: RunFolder,
    question: Annotated[str, typer.Option("--question", "-q", help="The question's id.")],
    as_json: output.Json = False,
) -> None:
    """Show one question: its references, and the answer, passages and notes of every strategy and generator.

    Example: qttrag eval show xor-tydi --question -1607814965288159026
    """
    from qttrag.evaluation.runs.answer_files import latest

    opened = _open(run)
    found: dict[str, Any] = {}
    for cell in opened.cells():
        asked = {each.question_id: each for each in opened.questions(cell.dataset)}
        record = latest(cell.file(opened.folder)).get(question)
        if question in asked:
            row = found.setdefault(cell.dataset, {"question": asked[question], "answers": []})
            if record:
                row["answers"].append((cell, record))
    if not found:
        known = [each.question_id for row in opened.identity["questions"] for each in opened.questions(row)]
        raise InputError(unknown("question", question, known))
    if as_json:
        output.say_json(_shown_as_json(found))
        return
    for row in found.values():
        output.say(output.printable(f"{row['question'].text}\nreferences: {' | '.join(row['question'].answers)}"))
        for cell, record in row["answers"]:
            _show(" · ".join(cell), record)


def _show(title: str, record: Record) -> None:
    from qttrag.cli.ask import passage_table

    console = output.console()
    console.print(f"\n{output.printable(title)}", style="bold", markup=False)
    console.print(output.printable(record.text if record.text is not None else f"failed: {record.error}"), markup=False)
    if record.context:
        console.print(passage_table(record.context))
    for note in record.notes:
        console.print(f"note: {output.printable(note)}", markup=False)


def _shown_as_json(found: dict[str, Any]) -> dict[str, Any]:
    from dataclasses import asdict

    return {
        name: {
            "question": asdict(row["question"]),
            "answers": [{**cell._asdict(), **asdict(record)} for cell, record in row["answers"]],
        }
        for name, row in found.items()
    }


class _Bar:
    """Progress in the terminal: how far, how fast, how long still."""

    def __init__(self) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        self._progress = Progress(
            TextColumn("{task.fields[cell]}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[failed]}"),
            console=output.console(stderr=True),
            transient=True,
        )
        self._task = self._progress.add_task("", total=None, cell="loading", rate="", failed="")

    def __enter__(self) -> _Bar:
        self._progress.start()
        return self

    def __exit__(self, *args: object) -> None:
        self._progress.stop()

    def __call__(self, progress: Progress) -> None:
        if self._progress.tasks[0].total is None:  # what was done before says nothing about speed
            self._progress.reset(self._task, total=progress.total, completed=progress.done - 1)
        speed = self._progress.tasks[0].speed
        self._progress.update(
            self._task,
            completed=progress.done,
            cell=" · ".join(progress.cell),
            rate=f"{speed:.2f}/s" if speed else "",
            failed=f"{progress.failed} failed" if progress.failed else "",
        )


def _say_outcome(outcome: Outcome) -> None:
    words = [f"{outcome.answered} answered", f"{outcome.skipped} done before", f"{outcome.failed} failed"]
    if outcome.torn:
        words.append(f"{outcome.torn} cut off by a kill and answered again")
    output.console(stderr=True).print(f"{', '.join(words)} · {outcome.run.folder}", markup=False)


def _report(run: Run, *, against: str | None, measure: str | None, as_json: bool) -> None:
    from qttrag.evaluation.metrics.registry import check
    from qttrag.evaluation.report import page
    from qttrag.evaluation.report import tables as report
    from qttrag.evaluation.runs import folder as runs
    from qttrag.evaluation.runs import scoring

    theirs = report.reported(against) if against else None
    name = check(measure or run.headline.measure)
    scored = scoring.score(run)
    figures, data = scoring.figures(scored), scoring.as_json(run, scored)
    compared = report.comparison_table(scoring.comparisons(scored, name, run.headline.over))
    places = list(dict.fromkeys(each.cell[:2] for each in scored))
    grids = [report.main_table(figures, name), compared, *([report.against(figures, theirs)] if theirs else [])]
    every = [*grids, *(report.all_measures(figures, *place) for place in places)]
    runs.write_file(run.folder / "scores.json", json.dumps(data, ensure_ascii=False, indent=2, allow_nan=False))
    runs.write_file(run.folder / "report.html", page.page(run, scored, figures, every))
    runs.write_file(run.folder / "tables.md", report.markdown(every))
    runs.write_file(run.folder / "tables.tex", report.latex(every))
    if as_json:
        output.say_json(data)
        return
    for grid in every if len(places) <= _PLACES else grids:
        show_grid(grid)
    _say_gaps(run, scored)
    output.say(f"every measure and signature: {run.folder}/tables.md, report.html, scores.json")


def show_grid(grid: Grid) -> None:
    console = output.console()
    console.print(f"\n{output.printable(grid.title)}", style="bold", markup=False)
    console.print(output.table(*grid.columns, rows=grid.rows))
    if grid.signatures:
        console.print(f"e.g. {output.printable(grid.signatures[0])}", style="dim", markup=False, soft_wrap=True)


def _say_gaps(run: Run, scored: list[Scored]) -> None:
    """Say what the figures leave out, and why."""
    console = output.console()
    for each in scored:
        where = " · ".join(each.cell)
        if each.failed:
            first = next(iter(each.failed.values()))
            console.print(f"{where}: {len(each.failed)} failed, e.g. {output.printable(first)}", markup=False)
        for cause, n in sorted(each.causes.items()):
            console.print(f"{where}: {n} translations unscored: {cause}", markup=False)
    for note in run.notes:
        console.print(f"note: {output.printable(note)}", markup=False)


def _results() -> Path:
    from qttrag import resources

    return resources.results_folder()


def _open(value: str) -> Run:
    from qttrag.evaluation.runs import folder as runs

    path = Path(value)
    return runs.open_run(path if path.is_dir() else _results() / value)
