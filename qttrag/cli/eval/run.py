"""`qttrag eval run`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from qttrag.cli import output
from qttrag.cli.eval import options
from qttrag.cli.eval.score import write_report

if TYPE_CHECKING:
    from qttrag.evaluation.runs.runner import Outcome, Progress


def run(
    suite: Annotated[str, typer.Argument(help="The file of a suite, or its name in eval/.")],
    out: Annotated[Path | None, typer.Option(help="The folder of the run; by default eval/results/SUITE.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first questions of each row.")] = None,
    sample: Annotated[
        int | None,
        typer.Option(min=1, help="Only this many questions of each row, at random, the same each time."),
    ] = None,
    run: Annotated[Path | None, typer.Option(help="A TREC run to read passages from instead of searching.")] = None,
    run_ids: options.IdTable = None,
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Retry questions that failed before.")] = False,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", help="Override a setting of the suite, e.g. --set in_flight=64. Repeatable."),
    ] = None,
    as_json: output.Json = False,
) -> None:
    """Answer every question of a suite under every strategy and generator, and score the answers.

    If it is interrupted, the same command resumes it; questions that are answered are skipped.

    Examples:

      qttrag eval run xor-tydi

      qttrag eval run demo --sample 40

      qttrag eval run my-suite.yaml --set deployment=laptop --set set.generator.model=Qwen/Qwen2.5-7B-Instruct
    """
    from qttrag.evaluation import suites
    from qttrag.evaluation.runs import runner

    overrides = output.pairs(settings, "--set")
    if run:
        overrides["run"] = {"file": str(run), "ids": str(run_ids) if run_ids else None}
    loaded = suites.load(suite, overrides)
    folder = out or options.results_folder() / loaded.name
    selection = runner.Selection(limit=limit, sample=sample, retry_failed=retry_failed)
    with _ProgressBar() as bar:
        outcome = output.run(runner.run(loaded, folder, selection=selection, on_progress=bar))
    _print_outcome(outcome)
    write_report(outcome.run, against=None, measure=None, as_json=as_json)


class _ProgressBar:
    """The progress in the terminal: questions, speed, remaining time, failures."""

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

    def __enter__(self) -> _ProgressBar:
        self._progress.start()
        return self

    def __exit__(self, *args: object) -> None:
        self._progress.stop()

    def __call__(self, progress: Progress) -> None:
        if self._progress.tasks[0].total is None:  # skipped questions do not count for the speed
            self._progress.reset(self._task, total=progress.total, completed=progress.done - 1)
        speed = self._progress.tasks[0].speed
        self._progress.update(
            self._task,
            completed=progress.done,
            cell=" · ".join(progress.cell),
            rate=f"{speed:.2f}/s" if speed else "",
            failed=f"{progress.failed} failed" if progress.failed else "",
        )


def _print_outcome(outcome: Outcome) -> None:
    counts = [f"{outcome.answered} answered", f"{outcome.skipped} skipped", f"{outcome.failed} failed"]
    if outcome.repaired:
        counts.append(f"{outcome.repaired} incomplete after a kill and answered again")
    output.console(stderr=True).print(f"{', '.join(counts)} · {outcome.run.folder}", markup=False)
