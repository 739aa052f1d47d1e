"""`qttrag eval run`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from qttrag.cli import output
from qttrag.cli.cluster import On, Workers, check_workers
from qttrag.cli.eval import options
from qttrag.cli.eval.progress import ProgressBar
from qttrag.cli.eval.score import write_report
from qttrag.errors import StageError

if TYPE_CHECKING:
    from qttrag.evaluation.runs.answering import OpenAnswering
    from qttrag.evaluation.runs.runner import Outcome, Progress
    from qttrag.evaluation.runs.scoring import ScoredCell


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
    retry_degraded: Annotated[
        bool,
        typer.Option(
            "--retry-degraded", help="Answer again where a stage was unavailable, e.g. translations unscored."
        ),
    ] = False,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", help="Override a setting of the suite, e.g. --set in_flight=64. Repeatable."),
    ] = None,
    on: On = None,
    workers: Workers = None,
    as_json: output.Json = False,
) -> None:
    """Answer every question of a suite under every strategy and generator, and score the answers.

    If it is interrupted, the same command resumes it; questions that are answered are skipped. The exit code is 4 if a
    strategy has no answer to any question of a dataset.

    --on spreads the questions over a cluster, each worker of which opens the deployment; a run may be resumed with or
    without it. `in_flight` of the suite is then the number of questions at the same time of each worker.

    Examples:

      qttrag eval run xor-tydi

      qttrag eval run demo --sample 40

      qttrag eval run xor-tydi --on ray --workers 4

      qttrag eval run my-suite.yaml --set deployment=laptop --set set.generator.model=Qwen/Qwen2.5-7B-Instruct
    """
    from qttrag.evaluation import suites
    from qttrag.evaluation.runs import runner

    overrides = output.pairs(settings, "--set")
    if run:
        overrides["run"] = {"file": str(run), "ids": str(run_ids) if run_ids else None}
    loaded = suites.load(suite, overrides)
    folder = out or options.results_folder() / loaded.name
    selection = runner.Selection(limit=limit, sample=sample, retry_failed=retry_failed, retry_degraded=retry_degraded)
    with _answering(on, workers) as open_answering, ProgressBar() as bar:

        def show(at: Progress) -> None:
            bar.show(at.done, at.total, " · ".join(at.cell), at.failed)

        outcome = output.run(
            runner.run(loaded, folder, selection=selection, on_progress=show, open_answering=open_answering)
        )
    _print_outcome(outcome)
    scored = write_report(outcome.run, against=None, measure=None, as_json=as_json)
    _exit_if_unanswered(scored, suite)


def _answering(on: str | None, workers: int | None) -> AbstractContextManager[OpenAnswering]:
    """Return what opens the stages: in this process, or on the cluster `on`."""
    check_workers(on, workers)
    if on is None:
        from qttrag.evaluation.runs.answering import in_process

        return nullcontext(in_process)
    from qttrag.distributed.ray_answering import answering_on

    return answering_on(on, workers=workers)


def _exit_if_unanswered(scored: Sequence[ScoredCell], suite: str) -> None:
    """Exit with the code of a failed stage if all questions of a cell failed."""
    unanswered = [" · ".join(cell.cell) for cell in scored if cell.failed and not cell.answers]
    if unanswered:
        sys.stderr.write(
            f"error: every question failed under {', '.join(unanswered)}; correct the causes that are reported above, "
            f"then run `qttrag eval run {suite} --retry-failed`\n"
        )
        raise typer.Exit(StageError.exit_code)


def _print_outcome(outcome: Outcome) -> None:
    counts = [f"{outcome.answered} answered", f"{outcome.skipped} skipped", f"{outcome.failed} failed"]
    if outcome.repaired:
        counts.append(f"{outcome.repaired} incomplete after a kill and answered again")
    output.console(stderr=True).print(f"{', '.join(counts)} · {outcome.run.folder}", markup=False)
