"""Retrieval alone: of a deployment, for the questions of a suite, or of a run that another system made."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from qttrag.application.application import Application
from qttrag.evaluation.datasets import replay
from qttrag.evaluation.datasets.questions import Question
from qttrag.evaluation.datasets.trec import Ranked
from qttrag.evaluation.metrics import cross_lingual, retrieval
from qttrag.evaluation.report.tables import Grid
from qttrag.evaluation.runs.scoring import as_judged
from qttrag.evaluation.statistics import Interval, bootstrap
from qttrag.runtime.tasks import gather_or_cancel
from qttrag.types import Lang, Query

_READ = 5  # passages that r_lang is of, as in arXiv:2510.23070
_AT_ONCE = 32

Rankings = Mapping[str, Sequence[Ranked]]


class Searched(NamedTuple):
    """What a deployment found for questions, by question id, before and after reranking."""

    retrieved: dict[str, list[Ranked]]
    reranked: dict[str, list[Ranked]]


async def search(application: Application, questions: Sequence[Question], *, pivot: Lang | None = None) -> Searched:
    """Return what the deployment finds; with `pivot`, for the questions translated into that language.

    Raises:
        ConfigError: there is a pivot and no translator.
        StageError: a stage failed."""
    found = Searched({}, {})
    stages = application.stages
    waiting = iter(questions)

    async def worker() -> None:
        for question in waiting:
            query = Query(question.text, question.lang, question.question_id)
            if pivot is not None:
                query = await stages.translate_query(query, pivot)
            hits = await stages.retriever.retrieve(query, stages.depth)
            ranked = await stages.reranker.rerank(query, hits)
            for into, some in ((found.retrieved, hits), (found.reranked, ranked)):
                into[question.question_id] = [Ranked(h.passage.passage_id, h.score, h.passage.lang) for h in some]

    await gather_or_cancel(worker() for _ in range(min(_AT_ONCE, len(questions))))
    return found


def monolingual(questions: Iterable[Question], collections: Iterable[str]) -> set[str]:
    """Return the ids of the questions of which a gold passage is in their own language."""
    asked = list(questions)
    wanted = {passage_id for question in asked for passage_id in question.gold}
    langs = {each: p.lang for name in collections for each, p in replay.lookup(name, wanted).items()}
    return {q.question_id for q in asked if any(_native(langs.get(passage_id), q.lang) for passage_id in q.gold)}


def _native(lang: Lang | None, asked: Lang) -> bool:
    return cross_lingual.foreign([lang], asked, 1) == (0, 1)


def row(
    names: Sequence[str], rankings: Rankings, gold: Mapping[str, Sequence[str]], langs: Mapping[str, str]
) -> list[str]:
    """Return the cells of a table: `names`, how many questions, and how many of them with gold, every measure.

    `gold`: ids of passages by question, empty where none is known. `langs`: the language of every question."""
    import numpy as np

    judged = {query: dict.fromkeys(passages, 1) for query, passages in gold.items() if passages}
    ids = {query: as_judged([each.passage_id for each in rankings.get(query, ())], judged[query]) for query in judged}
    found = retrieval.by_query(judged, ids) if judged else {}
    cells = []
    for measure in retrieval.MEASURES:
        values = np.array([[found[query][measure]] for query in judged]).reshape(-1, 1)
        cells.append(_shown(bootstrap(values, np.ones_like(values))[0]))
    counts = [cross_lingual.foreign([r.lang for r in rankings.get(q, ())], lang, _READ) for q, lang in langs.items()]
    over, under = (np.array([[float(count[n])] for count in counts]).reshape(-1, 1) for n in (0, 1))
    share = f"{_shown(bootstrap(over, under)[0])} ({over.sum():.0f} of {under.sum():.0f})"
    return [*names, str(len(langs)), str(len(judged)), *cells, share]


def grid(title: str, names: Sequence[str], rows: list[list[str]]) -> Grid:
    """Return rows as a table; `names` head the cells that `row` was given."""
    measures = [f"{measure} %" for measure in (*retrieval.MEASURES, f"r_lang@{_READ}")]
    return Grid(f"{title}, 95 % intervals", [*names, "n", "with gold", *measures], rows, [])


def _shown(interval: Interval) -> str:
    value, low, high = (each * 100 for each in interval)
    return "–" if value != value else f"{value:.1f} [{low:.1f}, {high:.1f}]"
