"""`qttrag eval retrieval`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from qttrag.cli import output
from qttrag.cli.eval import options
from qttrag.cli.eval.progress import ProgressBar
from qttrag.cli.eval.score import print_table
from qttrag.errors import ConfigError, InputError

if TYPE_CHECKING:
    from qttrag.application.application import Application
    from qttrag.evaluation.datasets.questions import Question
    from qttrag.evaluation.datasets.trec import RunEntry
    from qttrag.evaluation.stages.retrieval import RetrievalCell
    from qttrag.evaluation.suites import Suite
    from qttrag.runtime.cache import Cache
    from qttrag.types import Lang


def retrieval(
    suite: Annotated[str | None, typer.Argument(help="A suite; its deployment searches its questions.")] = None,
    run: Annotated[Path | None, typer.Option(help="A TREC run to measure instead of a deployment.")] = None,
    run_ids: options.IdTable = None,
    qrels: Annotated[Path | None, typer.Option(help="The TREC qrels of the run.")] = None,
    lang: Annotated[str | None, typer.Option("--lang", "-l", help="The language of the questions of the run.")] = None,
    measures: options.RetrievalMeasures = None,
    pivot: Annotated[str | None, typer.Option(help="Also measure with queries in this language.")] = None,
    write: Annotated[Path | None, typer.Option(help="Write the rankings to this folder as TREC runs.")] = None,
    passages: Annotated[
        bool, typer.Option("--passages", help="Write the ids of passages; by default, of the documents they are from.")
    ] = False,
    per_query: Annotated[
        Path | None, typer.Option(help="Write the values of every judged question to this JSONL file.")
    ] = None,
    sample: options.Sample = None,
    settings: output.Set = None,
    as_json: output.Json = False,
) -> None:
    """Measure retrieval alone: nDCG, RR, recall, and the share of the top 5 in another language (r_lang).

    If it is interrupted, the same command resumes it.

    Examples:

      qttrag eval retrieval --run theirs.trec --run-ids ids.tsv --lang ko

      qttrag eval retrieval demo --sample 100 --pivot en --write runs/

      qttrag eval retrieval demo --measures "nDCG@20 AP" --per-query values.jsonl
    """
    from qttrag.evaluation.stages import retrieval as measuring

    if (suite is None) == (run is None):
        raise InputError("give either a suite or a TREC run (--run FILE)")
    names = options.retrieval_measures(measures)
    if suite is not None:
        session = _Session(suite, output.pairs(settings, "--set"), names, pivot, write, passages=passages)
        notes, cells = output.run(session.measure(sample))
    elif lang is None:
        raise InputError("give the language of the questions of the run, e.g. --lang ko")
    else:
        notes, cells = _of_run(run or Path(), run_ids, qrels, lang, names)
    if per_query:
        _write_values(per_query, cells)
    if as_json:
        _say_document(notes, cells)
        return
    print_table(measuring.table(run.name if run else "retrieval", cells))
    for note in notes:
        output.say(f"note: {output.printable(note)}")


def _of_run(
    run: Path, run_ids: Path | None, qrels: Path | None, lang: str, names: Sequence[str]
) -> tuple[list[str], list[RetrievalCell]]:
    from qttrag.evaluation.datasets import trec
    from qttrag.evaluation.stages import retrieval as measuring
    from qttrag.text.languages import language

    trec_run = trec.read_run(run, trec.IdTable.read(run_ids) if run_ids else None)
    judged = trec.read_qrels(qrels) if qrels else {}
    notes = trec.compared(run, trec_run, qrels, judged)
    langs = dict.fromkeys(dict.fromkeys([*trec_run.rankings, *judged]), language(lang).code)
    return notes, [measuring.cell({"run": run.name, "lang": langs[next(iter(langs))] if langs else lang},
                                  trec_run.rankings, judged, langs, names)]  # fmt: skip


class _Session:
    """The searches of a suite's questions, in a cache in the results of the suite."""

    def __init__(
        self,
        suite: str,
        overrides: dict[str, object],
        names: Sequence[str],
        pivot: str | None,
        write: Path | None,
        *,
        passages: bool,
    ) -> None:
        from qttrag.application.named_models import collection_names
        from qttrag.evaluation import suites
        from qttrag.text.languages import language

        self._suite: Suite = suites.load(suite, overrides)
        self._deployment = self._suite.deployment_for(next(iter(self._suite.generators)))
        self._names, self._write, self._passages = names, write, passages
        self._pivots: list[Lang | None] = [None, *([language(pivot).code] if pivot else [])]
        self._collections = collection_names(self._deployment)
        if pivot and not self._deployment.translator:
            raise ConfigError(
                f"--pivot {pivot} needs a translator; add `translator: {{kind: nllb, ...}}` to the deployment"
            )

    async def measure(self, sample: int | None) -> tuple[list[str], list[RetrievalCell]]:
        """Return notes, and the figures of all datasets, steps and pivots."""
        from qttrag.application.application import Application
        from qttrag.evaluation import datasets
        from qttrag.evaluation.runs import provenance, search_cache
        from qttrag.evaluation.runs.runner import Selection

        loaded = {name: datasets.load(name, *row) for name, row in self._suite.rows().items()}
        notes = [note for dataset in loaded.values() for note in dataset.notes]
        questions = {name: Selection(sample=sample).of(dataset.questions) for name, dataset in loaded.items()}
        scope = provenance.search_digest(self._deployment)
        folder = options.results_folder() / f"{self._suite.name}-retrieval"
        folder.mkdir(parents=True, exist_ok=True)
        cache = search_cache.store(folder)
        cells = []
        try:
            async with Application.open(self._deployment) as application:
                with ProgressBar(sum(map(len, questions.values())) * len(self._pivots)) as bar:
                    for name, some in questions.items():
                        for to in self._pivots:
                            rankings = await self._search(application, name, some, to, cache, scope, bar)
                            cells += self._cells(name, some, to, rankings)
        finally:
            cache.close()
        return notes, cells

    async def _search(
        self,
        application: Application,
        name: str,
        questions: Sequence[Question],
        to: Lang | None,
        cache: Cache,
        scope: str,
        bar: ProgressBar,
    ) -> dict[str, dict[str, list[RunEntry]]]:
        from qttrag.evaluation.stages import retrieval as measuring

        return await measuring.search(
            application, questions, cache=cache, scope=scope, pivot=to, on_answer=lambda: bar.advance(name)
        )

    def _cells(
        self,
        name: str,
        questions: Sequence[Question],
        to: Lang | None,
        rankings: dict[str, dict[str, list[RunEntry]]],
    ) -> list[RetrievalCell]:
        from qttrag.evaluation.stages import retrieval as measuring

        own = measuring.monolingual(questions, self._collections)
        groups = {"any": list(questions), "own language": [q for q in questions if q.question_id in own]}
        groups["other language"] = [q for q in questions if q.gold and q.question_id not in own]
        cells = []
        for step, by_question in rankings.items():
            about = {"dataset": name, "query": to or "as asked", "step": step}
            if self._write:
                self._write_run(self._write / f"{' '.join(about.values())}.trec".replace(" ", "-"), by_question)
            for gold, group in groups.items():
                if group:
                    judged = {q.question_id: q.judgements for q in group}
                    langs = {q.question_id: q.lang for q in group}
                    cells.append(measuring.cell({**about, "gold": gold}, by_question, judged, langs, self._names))
        return cells

    def _write_run(self, path: Path, rankings: dict[str, list[RunEntry]]) -> None:
        from qttrag.evaluation.datasets import documents, trec

        path.parent.mkdir(parents=True, exist_ok=True)
        trec.write_run(path, rankings if self._passages else documents.document_rankings(rankings, self._collections))


def _write_values(path: Path, cells: Sequence[RetrievalCell]) -> None:
    from qttrag.evaluation.runs.folder import write_lines

    write_lines(
        path,
        [{**cell.about, "id": query, **values} for cell in cells for query, values in cell.by_question.items()],
    )


def _say_document(notes: Sequence[str], cells: Sequence[RetrievalCell]) -> None:
    from qttrag.evaluation.document import Document
    from qttrag.evaluation.stages.retrieval import as_entry

    document = Document(command="retrieval", notes=list(notes), cells=[as_entry(cell) for cell in cells])
    output.say_json(document.model_dump(mode="json"))
