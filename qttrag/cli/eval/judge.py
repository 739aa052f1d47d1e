"""`qttrag eval judge`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from qttrag.cli import output
from qttrag.cli.eval import options
from qttrag.cli.eval.progress import ProgressBar
from qttrag.cli.eval.score import print_table

if TYPE_CHECKING:
    from qttrag.evaluation.report.tables import Table
    from qttrag.evaluation.runs.folder import Run
    from qttrag.evaluation.runs.judging import Judgement
    from qttrag.evaluation.runs.scoring import ScoredCell

_WITH = "match_fair"


def judge(
    run: options.RunFolder,
    config: Annotated[
        str | None, typer.Option("--config", "-c", help="The deployment whose generator judges; by default the run's.")
    ] = None,
    settings: output.Set = None,
    again: Annotated[bool, typer.Option("--again", help="Forget the verdicts of an earlier judge.")] = False,
) -> None:
    """Let the generator of a deployment judge the answers of a run, and show how far it agrees with the references.

    The verdicts become the measure `judged_right` of `qttrag eval score` and `compare`. If it is interrupted, the same
    command resumes it.

    Example: qttrag eval judge xor-tydi --config served --set generator.model=Qwen/Qwen2.5-72B-Instruct
    """
    from qttrag.evaluation.runs import scoring

    opened = options.open_run(run)
    outcome = output.run(_judge(opened, config, settings, again=again))
    output.say(f"{outcome.judged} judged, {outcome.before} before, {outcome.unreadable} replies unreadable")
    print_table(_agreement(scoring.score(opened)))


async def _judge(run: Run, config: str | None, settings: list[str] | None, *, again: bool) -> Judgement:
    from qttrag.application.application import Application
    from qttrag.config import deployment
    from qttrag.evaluation.runs import judging

    chosen = deployment.load(config or run.identity["suite"]["deployment"], output.pairs(settings, "--set"))
    async with Application.open(chosen) as application:
        stages = application.stages
        with ProgressBar() as bar:
            done = 0

            def show(total: int) -> None:
                nonlocal done
                done += 1
                bar.show(done, total, "verdicts", 0)

            return await judging.judge(run, stages.generator, stages.prompts, again=again, on_verdict=show)


def _agreement(scored: Sequence[ScoredCell]) -> Table:
    """Return a table with the judge's agreement with the references, cell by cell."""
    from qttrag.evaluation.report.tables import Table
    from qttrag.evaluation.statistics import cohens_kappa

    rows = []
    for cell in scored:
        pairs = [
            (bool(values["judged_right"][0]), bool(values[_WITH][0]))
            for values in cell.values.values()
            if "judged_right" in values and _WITH in values
        ]
        same = sum(one == other for one, other in pairs)
        shares = [f"{100 * sum(column) / len(pairs):.1f}" for column in zip(*pairs, strict=True)] or ["–", "–"]
        agreement = [f"{100 * same / len(pairs):.1f}", f"{cohens_kappa(pairs):.2f}"] if pairs else ["–", "–"]
        rows.append([*cell.cell, str(len(pairs)), *shares, *agreement])
    columns = ["dataset", "generator", "strategy", "n", "judged right %", f"{_WITH} %", "agree %", "kappa"]
    return Table(f"the judge beside {_WITH}", columns, rows, [])
