"""`qttrag eval retrieval|tagger|detector`: measure one stage alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from qttrag.cli import output
from qttrag.cli.eval import options
from qttrag.cli.eval.score import print_table
from qttrag.errors import ConfigError, InputError
from qttrag.resources import DEFAULT_DEPLOYMENT

if TYPE_CHECKING:
    from qttrag.evaluation.datasets.questions import Question
    from qttrag.evaluation.report.tables import Table
    from qttrag.evaluation.stages.tagging import JudgedTranslation
    from qttrag.evaluation.suites import Suite
    from qttrag.types import Lang, Verdict


def retrieval(
    suite: Annotated[str | None, typer.Argument(help="A suite; its deployment searches its questions.")] = None,
    run: Annotated[Path | None, typer.Option(help="A TREC run to measure instead of a deployment.")] = None,
    run_ids: options.IdTable = None,
    qrels: Annotated[Path | None, typer.Option(help="The TREC qrels of the run.")] = None,
    lang: Annotated[str | None, typer.Option("--lang", "-l", help="The language of the questions of the run.")] = None,
    pivot: Annotated[str | None, typer.Option(help="Also measure with queries in this language.")] = None,
    write: Annotated[Path | None, typer.Option(help="Write the rankings to this folder as TREC runs.")] = None,
    sample: options.Sample = None,
    settings: output.Set = None,
    as_json: output.Json = False,
) -> None:
    """Measure retrieval alone: nDCG, RR, recall, and the share of the top 5 in another language (r_lang).

    Examples:

      qttrag eval retrieval --run theirs.trec --run-ids ids.tsv --lang ko

      qttrag eval retrieval demo --sample 100 --pivot en --write runs/
    """
    if (suite is None) == (run is None):
        raise InputError("give either a suite or a TREC run (--run FILE)")
    if suite is not None:
        from qttrag.evaluation import suites

        loaded = suites.load(suite, output.pairs(settings, "--set"))
        print_tables(output.run(_suite_tables(loaded, pivot, sample, write)), as_json=as_json)
    elif lang is None:
        raise InputError("give the language of the questions of the run, e.g. --lang ko")
    else:
        print_tables([_run_table(run or Path(), run_ids, qrels, lang)], as_json=as_json)


def _run_table(run: Path, run_ids: Path | None, qrels: Path | None, lang: str) -> Table:
    from qttrag.evaluation.datasets import trec
    from qttrag.evaluation.stages import retrieval as measuring
    from qttrag.text.languages import language

    trec_run = trec.read_run(run, trec.IdTable.read(run_ids) if run_ids else None)
    judged = trec.read_qrels(qrels) if qrels else {}
    gold = {query: [p for p, relevance in passages.items() if relevance > 0] for query, passages in judged.items()}
    langs = dict.fromkeys(dict.fromkeys([*trec_run.rankings, *gold]), language(lang).code)
    note = f" ({trec_run.unmapped} lines skipped: not in the id table)" if trec_run.unmapped else ""
    return measuring.table(f"{run.name}{note}", ["run"], [measuring.row([lang], trec_run.rankings, gold, langs)])


async def _suite_tables(suite: Suite, pivot: str | None, sample: int | None, write: Path | None) -> list[Table]:
    from qttrag.application.application import Application
    from qttrag.application.named_models import collection_names
    from qttrag.evaluation import datasets
    from qttrag.evaluation.datasets import trec
    from qttrag.evaluation.runs.runner import Selection
    from qttrag.evaluation.stages import retrieval as measuring
    from qttrag.text.languages import language

    deployment = suite.deployment_for(next(iter(suite.generators)))
    pivots: list[Lang | None] = [None, *([language(pivot).code] if pivot else [])]
    rows = []
    async with Application.open(deployment) as application:
        for name, dataset in suite.rows().items():
            questions = Selection(sample=sample).of(datasets.load(name, *dataset).questions)
            groups = _by_language_of_gold(questions, measuring.monolingual(questions, collection_names(deployment)))
            for to in pivots:
                query_lang = to or "as asked"
                for step, rankings in (await measuring.search(application, questions, pivot=to))._asdict().items():
                    if write:
                        write.mkdir(parents=True, exist_ok=True)
                        trec.write_run(write / f"{name} {query_lang} {step}.trec".replace(" ", "-"), rankings)
                    for gold_lang, group in groups.items():
                        gold = {q.question_id: q.gold for q in group}
                        langs = {q.question_id: q.lang for q in group}
                        rows.append(measuring.row([name, query_lang, step, gold_lang], rankings, gold, langs))
    return [measuring.table("retrieval", ["dataset", "query", "step", "gold"], rows)]


def _by_language_of_gold(questions: list[Question], own: set[str]) -> dict[str, list[Question]]:
    groups = {"any": questions, "own language": [q for q in questions if q.question_id in own]}
    groups["other language"] = [q for q in questions if q.gold and q.question_id not in own]
    return {name: group for name, group in groups.items() if group}


def tagger(
    file: Annotated[Path, typer.Argument(help="A TSV file (also .gz) of translations with human scores.")],
    source: Annotated[str, typer.Option("--from", "-f", help="The language of the originals.")],
    target: Annotated[str, typer.Option("--to", "-t", help="The language of the translations.")],
    columns: Annotated[str, typer.Option(help="The columns of original, translation and score.")] = "src,mt,da_mean",
    sample: options.Sample = None,
    config: output.Config = DEFAULT_DEPLOYMENT,
    settings: output.Set = None,
    as_json: output.Json = False,
) -> None:
    """Measure the correlation of a tagger's scores with human scores: Pearson, Spearman, Kendall.

    Example: qttrag eval tagger en-zh.tsv.gz --from en --to zh --sample 500 -c paper
    """
    from qttrag.evaluation.stages import tagging

    names = columns.split(",")
    if len(names) != 3:
        raise InputError(f"--columns '{columns}': name three columns, original,translation,score")
    judged = tagging.sample(tagging.read(file, *names), sample)
    verdicts = output.run(_tagged(config, settings, judged, source, target))
    print_tables([tagging.correlations(judged, verdicts), tagging.reliability(judged, verdicts)], as_json=as_json)


async def _tagged(
    config: str, settings: list[str] | None, judged: Sequence[JudgedTranslation], source: str, target: str
) -> list[Verdict]:
    from qttrag.text.languages import language

    async with output.open_application(config, settings) as application:
        stage = application.stages.tagger
        if stage is None:
            raise ConfigError("the deployment has no tagger; add `tagger: {kind: llm}`")
        originals, translations = [each.original for each in judged], [each.translation for each in judged]
        return await stage.score(originals, translations, [language(source).code] * len(judged), language(target).code)


def detector(
    file: Annotated[Path, typer.Argument(help='A JSONL file of {"text" or "question", "lang"}, other fields ignored.')],
    kind: Annotated[str, typer.Option(help="The kind of the detector; see `qttrag kinds detector`.")] = "script",
    as_json: output.Json = False,
) -> None:
    """Measure a language detector on labelled texts: accuracy, agreement between two calls, speed.

    Example: qttrag eval detector xor_dev_full_v1_1.jsonl --kind langdetect
    """
    from qttrag.application import registry
    from qttrag.evaluation.datasets.files import local_path, records, text_of
    from qttrag.evaluation.stages import identification
    from qttrag.text.languages import language

    labelled = [
        identification.LabelledText(
            text_of(where, record, "text" if "text" in record else "question"), language(record["lang"]).code
        )
        for where, record in records(local_path(str(file)))
    ]
    if not labelled:
        raise InputError(f"{file}: has no texts")
    table = output.run(identification.identification_table(registry.resolve("detector", kind)(), labelled))
    print_tables([table], as_json=as_json)


def print_tables(tables: list[Table], *, as_json: bool) -> None:
    """Print tables, or one JSON list of them."""
    if as_json:
        output.say_json(
            [{"title": t.title, "rows": [dict(zip(t.columns, row, strict=True)) for row in t.rows]} for t in tables]
        )
        return
    for table in tables:
        print_table(table)
