"""`qttrag eval retrieval|tagger|detector`: one stage at a time."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from qttrag.cli import output
from qttrag.cli.eval import runs as evaluation
from qttrag.errors import ConfigError, InputError
from qttrag.resources import DEFAULT_DEPLOYMENT

if TYPE_CHECKING:
    from qttrag.evaluation.datasets.questions import Question
    from qttrag.evaluation.report.tables import Grid
    from qttrag.evaluation.stages.tagging import Judged
    from qttrag.evaluation.suites import Suite
    from qttrag.types import Lang, Verdict

Sample = Annotated[int | None, typer.Option(min=1, help="Only so many, at random, the same each time.")]


def retrieval(
    suite: Annotated[str | None, typer.Argument(help="A suite; its deployment searches for its questions.")] = None,
    run: Annotated[Path | None, typer.Option(help="A TREC run to measure instead of a deployment.")] = None,
    run_ids: Annotated[
        Path | None, typer.Option(help="A table of its passages' ids: theirs<TAB>ours<TAB>lang.")
    ] = None,
    qrels: Annotated[Path | None, typer.Option(help="TREC judgements for the run.")] = None,
    lang: Annotated[str | None, typer.Option("--lang", "-l", help="The language of the run's questions.")] = None,
    pivot: Annotated[str | None, typer.Option(help="Measure also with the questions translated to this.")] = None,
    write: Annotated[Path | None, typer.Option(help="Write the deployment's rankings to this folder as runs.")] = None,
    sample: Sample = None,
    settings: output.Set = None,
    as_json: output.Json = False,
) -> None:
    """Measure retrieval alone: nDCG, RR, recall, and how much of the top 5 is in another language (r_lang).

    Examples:

      qttrag eval retrieval --run theirs.trec --run-ids ids.tsv --lang ko

      qttrag eval retrieval demo --sample 100 --pivot en --write runs/
    """
    if (suite is None) == (run is None):
        raise InputError("give a suite, or a run with --run FILE; one of the two")
    if suite is not None:
        from qttrag.evaluation import suites

        loaded = suites.load(suite, output.pairs(settings, "--set"))
        _show(output.run(_searched(loaded, pivot, sample, write)), as_json=as_json)
    elif lang is None:
        raise InputError("say what language the questions of the run are in: --lang ko")
    else:
        _show([_of_run(run or Path(), run_ids, qrels, lang)], as_json=as_json)


def _of_run(run: Path, run_ids: Path | None, qrels: Path | None, lang: str) -> Grid:
    from qttrag.evaluation.datasets import trec
    from qttrag.evaluation.stages import retrieval as measuring
    from qttrag.text.languages import language

    read = trec.read_run(run, trec.IdMap.read(run_ids) if run_ids else None)
    judged = trec.read_qrels(qrels) if qrels else {}
    gold = {query: [p for p, relevance in found.items() if relevance > 0] for query, found in judged.items()}
    langs = dict.fromkeys(dict.fromkeys([*read.rankings, *gold]), language(lang).code)
    notes = f" ({read.unmapped} lines left out: not in the table of ids)" if read.unmapped else ""
    return measuring.grid(f"{run.name}{notes}", ["run"], [measuring.row([lang], read.rankings, gold, langs)])


async def _searched(suite: Suite, pivot: str | None, sample: int | None, write: Path | None) -> list[Grid]:
    from qttrag.application.application import Application
    from qttrag.application.named_models import collection_names
    from qttrag.evaluation import datasets
    from qttrag.evaluation.datasets import trec
    from qttrag.evaluation.runs.runner import Choice
    from qttrag.evaluation.stages import retrieval as measuring
    from qttrag.text.languages import language

    deployment = suite.deployment_for(next(iter(suite.generators)))
    pivots: list[Lang | None] = [None, *([language(pivot).code] if pivot else [])]
    rows = []
    async with Application.open(deployment) as application:
        for name, spec in suite.rows().items():
            asked = Choice(sample=sample).of(datasets.load(name, spec).questions)
            own = measuring.monolingual(asked, collection_names(deployment))
            for to in pivots:
                found = await measuring.search(application, asked, pivot=to)
                for step, rankings in found._asdict().items():
                    if write:
                        write.mkdir(parents=True, exist_ok=True)
                        trec.write_run(write / f"{name} {to or 'as asked'} {step}.trec".replace(" ", "-"), rankings)
                    for which, some in _parts(asked, own).items():
                        gold = {q.question_id: q.gold for q in some}
                        langs = {q.question_id: q.lang for q in some}
                        rows.append(measuring.row([name, to or "as asked", step, which], rankings, gold, langs))
    return [measuring.grid("retrieval", ["dataset", "query", "step", "gold"], rows)]


def _parts(asked: list[Question], own: set[str]) -> dict[str, list[Question]]:
    parts = {"any": asked, "own language": [q for q in asked if q.question_id in own]}
    parts["other language"] = [q for q in asked if q.gold and q.question_id not in own]
    return {name: some for name, some in parts.items() if some}


def tagger(
    file: Annotated[Path, typer.Argument(help="A TSV file (also .gz) of translations that people judged.")],
    source: Annotated[str, typer.Option("--from", "-f", help="The language of the originals.")],
    target: Annotated[str, typer.Option("--to", "-t", help="The language of the translations.")],
    columns: Annotated[str, typer.Option(help="Its columns: original, translation, score.")] = "src,mt,da_mean",
    sample: Sample = None,
    config: output.Config = DEFAULT_DEPLOYMENT,
    settings: output.Set = None,
    as_json: output.Json = False,
) -> None:
    """Measure how a tagger's scores go with people's: Pearson, Spearman, Kendall.

    Example: qttrag eval tagger en-zh.tsv.gz --from en --to zh --sample 500 -c paper
    """
    from qttrag.evaluation.stages import tagging

    names = columns.split(",")
    if len(names) != 3:
        raise InputError(f"--columns '{columns}': name three, original,translation,score")
    judged = tagging.sample(tagging.read(file, *names), sample)
    verdicts = output.run(_tagged(config, settings, judged, source, target))
    _show([tagging.correlations(judged, verdicts), tagging.reliability(judged, verdicts)], as_json=as_json)


async def _tagged(
    config: str, settings: list[str] | None, judged: Sequence[Judged], source: str, target: str
) -> list[Verdict]:
    from qttrag.text.languages import language

    async with output.open_application(config, settings) as application:
        used = application.stages.tagger
        if used is None:
            raise ConfigError("the deployment has no tagger; add `tagger: {kind: llm}`")
        originals, translations = [each.original for each in judged], [each.translation for each in judged]
        return await used.score(originals, translations, [language(source).code] * len(judged), language(target).code)


def detector(
    file: Annotated[Path, typer.Argument(help='JSONL of {"text" or "question", "lang"}; other fields are ignored.')],
    kind: Annotated[str, typer.Option(help="The detector's kind; see `qttrag kinds detector`.")] = "script",
    as_json: output.Json = False,
) -> None:
    """Measure a language detector on labelled texts: accuracy, agreement between two calls, speed.

    Example: qttrag eval detector xor_dev_full_v1_1.jsonl --kind langdetect
    """
    from qttrag.application import registry
    from qttrag.evaluation.datasets.files import located, records, text_of
    from qttrag.evaluation.stages import identification
    from qttrag.text.languages import language

    labelled = [
        identification.Labelled(
            text_of(where, each, "text" if "text" in each else "question"), language(each["lang"]).code
        )
        for where, each in records(located(str(file)))
    ]
    if not labelled:
        raise InputError(f"{file}: no texts in it")
    _show([output.run(identification.grid(registry.resolve("detector", kind)(), labelled))], as_json=as_json)


def _show(grids: list[Grid], *, as_json: bool) -> None:
    if as_json:
        output.say_json(
            [{"title": g.title, "rows": [dict(zip(g.columns, row, strict=True)) for row in g.rows]} for g in grids]
        )
        return
    for grid in grids:
        evaluation.show_grid(grid)
