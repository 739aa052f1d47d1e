"""`qttrag eval support|support-judge`: a judge of support on the answers of a run, and on labelled pairs."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from qttrag.cli import output
from qttrag.cli.eval import options
from qttrag.cli.eval.progress import ProgressBar
from qttrag.cli.eval.score import print_table
from qttrag.resources import DEFAULT_DEPLOYMENT
from qttrag.trace import Trace

if TYPE_CHECKING:
    from qttrag.config.deployment import Deployment, Spec
    from qttrag.evaluation.report.tables import Table
    from qttrag.evaluation.runs.folder import Run
    from qttrag.evaluation.runs.scoring import ScoredCell
    from qttrag.evaluation.runs.support import Judgement
    from qttrag.evaluation.stages.entailment import LabelledClaim
    from qttrag.protocols import SupportJudge

_STAGE = "support_judge"
_MEASURES = ("supported", "supported_native", "supported_foreign")

Judge = Annotated[str, typer.Option(help="The kind of the judge; see `qttrag kinds support_judge`.")]
JudgeSettings = Annotated[
    list[str] | None,
    typer.Option("--judge-set", help="A setting of the judge, e.g. --judge-set model=./my-nli. Repeatable."),
]


def support(
    run: options.RunFolder,
    judge: Judge = "llm",
    judge_settings: JudgeSettings = None,
    config: Annotated[
        str | None, typer.Option("--config", "-c", help="The deployment whose generator judges; by default the run's.")
    ] = None,
    settings: output.Set = None,
    again: Annotated[bool, typer.Option("--again", help="Forget the verdicts of an earlier judge.")] = False,
) -> None:
    """Judge whether the passages that were read support each sentence of the answers of a run.

    The verdicts become the measures `supported`, `supported_native` and `supported_foreign` of `qttrag eval score` and
    `compare`. If it is interrupted, the same command resumes it.

    Examples:

      qttrag eval support xor-tydi --config served

      qttrag eval support xor-tydi --judge nli --judge-set model=./mdeberta-xnli
    """
    from qttrag.evaluation.runs import scoring

    opened = options.open_run(run)
    deployment = output.load_deployment(config or opened.identity["suite"]["deployment"], settings)
    trace = Trace()
    outcome = output.run(_support(opened, deployment, _spec(judge, judge_settings), trace, again=again))
    output.say(f"{outcome.judged} answers judged, {outcome.before} before")
    output.say(f"{outcome.undecided} of {outcome.pairs} pairs of sentence and passage undecided")
    _say_notes(trace)
    print_table(_supported(scoring.score(opened)))


def support_judge(
    file: Annotated[
        Path, typer.Argument(help='A JSONL file (also .gz) of {"premise", "claim", "lang", "label"[, "premise_lang"]}.')
    ],
    judge: Judge = "llm",
    judge_settings: JudgeSettings = None,
    config: output.Config = DEFAULT_DEPLOYMENT,
    settings: output.Set = None,
    as_json: output.Json = False,
) -> None:
    """Measure the agreement of a judge of support with labelled pairs: accuracy and kappa, by language.

    A label is true, false, entailment, neutral or contradiction. Exit code 4 if the judge decided about no pair.

    Example: qttrag eval support-judge cdcl-nli.jsonl --judge nli --judge-set model=./mdeberta-xnli
    """
    from qttrag.evaluation.stages import entailment

    labelled, trace = entailment.read(file), Trace()
    spec = _spec(judge, judge_settings)
    decided = output.run(_decide(labelled, output.load_deployment(config, settings), spec, trace))
    cells = entailment.agreement(labelled, decided, judge)
    if as_json:
        output.say_json(entailment.as_document(cells).model_dump(mode="json"))
    else:
        _say_notes(trace)
        print_table(entailment.table(cells))
    if decided.count(None) == len(decided):
        raise typer.Exit(4)


def _spec(judge: str, settings: list[str] | None) -> Spec:
    return {"kind": judge, **output.pairs(settings, "--judge-set")}


@asynccontextmanager
async def _opened(deployment: Deployment, spec: Spec) -> AsyncIterator[SupportJudge]:
    """Open the judge, and what it takes from the deployment; nothing else of the deployment is opened."""
    from qttrag.application.factory import Builder
    from qttrag.prompts import Prompts
    from qttrag.protocols import Closable

    builder = Builder(deployment, Prompts(), None)
    try:
        yield builder.build(_STAGE, spec)
    finally:
        for _, part in builder.built():
            if isinstance(part, Closable):
                await part.close()


async def _support(run: Run, deployment: Deployment, spec: Spec, trace: Trace, *, again: bool) -> Judgement:
    from qttrag.evaluation.runs import support

    async with _opened(deployment, spec) as judge:
        with ProgressBar() as bar, trace.stage(_STAGE):
            done = 0

            def show(total: int) -> None:
                nonlocal done
                done += 1
                bar.show(done, total, "answers", 0)

            return await support.support(run, judge, again=again, on_verdict=show)


async def _decide(
    labelled: Sequence[LabelledClaim], deployment: Deployment, spec: Spec, trace: Trace
) -> list[bool | None]:
    from qttrag.evaluation.stages import entailment

    async with _opened(deployment, spec) as judge:
        with trace.stage(_STAGE):
            return await entailment.decide(judge, labelled)


def _say_notes(trace: Trace) -> None:
    if truncated := trace.counts[f"{_STAGE}.truncated"]:
        output.say(f"note: {truncated} pairs were cut to the judge's `max_tokens`")
    for note in trace.notes:
        output.say(output.printable(f"note: {note}"))


def _supported(scored: Sequence[ScoredCell]) -> Table:
    """Return the shares of sentences that passages support, cell by cell."""
    from qttrag.evaluation.report.tables import Table, figure_text
    from qttrag.evaluation.runs import figures

    rows, signatures = [], []
    for cell, by_name in figures.figures(scored).items():
        found = [by_name.get(name) for name in _MEASURES]
        answers = str(found[0].n) if found[0] else "0"
        rows.append([*cell, answers, *(figure_text(each, name) for each, name in zip(found, _MEASURES, strict=True))])
        signatures += [each.signature for each in found if each]
    columns = ["dataset", "generator", "strategy", "answers", "supported %", "by native %", "by foreign %"]
    return Table("sentences that a passage supports, 95 % intervals", columns, rows, signatures)
