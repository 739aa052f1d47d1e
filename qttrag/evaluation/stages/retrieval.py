"""Retrieval alone: of a deployment for the questions of a suite, or of another system's TREC run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from qttrag.application.application import Application
from qttrag.evaluation.datasets import replay
from qttrag.evaluation.datasets.questions import Question
from qttrag.evaluation.datasets.trec import RunEntry
from qttrag.evaluation.metrics import cross_lingual, retrieval
from qttrag.evaluation.report.tables import Table, interval_text
from qttrag.evaluation.runs.scoring import as_judged
from qttrag.evaluation.statistics import intervals
from qttrag.runtime.tasks import gather_or_cancel
from qttrag.types import Lang, Query

_R_LANG_DEPTH = 5  # as in arXiv:2510.23070
_IN_FLIGHT = 32

Rankings = Mapping[str, Sequence[RunEntry]]


class SearchRankings(NamedTuple):
    """The rankings of a deployment by question id, before and after reranking."""

    retrieved: dict[str, list[RunEntry]]
    reranked: dict[str, list[RunEntry]]


async def search(
    application: Application, questions: Sequence[Question], *, pivot: Lang | None = None
) -> SearchRankings:
    """Return the rankings for the questions; with `pivot`, for the questions translated into that language.

    Raises:
        ConfigError: there is a pivot but no translator.
        StageError: a stage failed."""
    rankings = SearchRankings({}, {})
    stages = application.stages
    remaining = iter(questions)

    async def worker() -> None:
        for question in remaining:
            query = Query(question.text, question.lang, question.question_id)
            if pivot is not None:
                query = await stages.translate_query(query, pivot)
            hits = await stages.retriever.retrieve(query, stages.depth)
            ranked = await stages.reranker.rerank(query, hits)
            for by_question, some in ((rankings.retrieved, hits), (rankings.reranked, ranked)):
                by_question[question.question_id] = [
                    RunEntry(h.passage.passage_id, h.score, h.passage.lang) for h in some
                ]

    await gather_or_cancel(worker() for _ in range(min(_IN_FLIGHT, len(questions))))
    return rankings


def monolingual(questions: Iterable[Question], collections: Iterable[str]) -> set[str]:
    """Return the ids of the questions with a gold passage in their own language."""
    asked = list(questions)
    gold = {passage_id for question in asked for passage_id in question.gold}
    langs = {passage_id: p.lang for name in collections for passage_id, p in replay.lookup(name, gold).items()}
    return {q.question_id for q in asked if any(_native(langs.get(passage_id), q.lang) for passage_id in q.gold)}


def _native(lang: Lang | None, question_lang: Lang) -> bool:
    return cross_lingual.foreign([lang], question_lang, 1) == (0, 1)


def row(
    names: Sequence[str], rankings: Rankings, gold: Mapping[str, Sequence[str]], langs: Mapping[str, str]
) -> list[str]:
    """Return a table row: `names`, the number of questions, the number with gold passages, and all measures.

    `gold`: ids of gold passages by question, possibly empty. `langs`: the language of every question."""
    import numpy as np

    judged = {query: dict.fromkeys(passages, 1) for query, passages in gold.items() if passages}
    ids = {query: as_judged([entry.passage_id for entry in rankings.get(query, ())], judged[query]) for query in judged}
    figures = retrieval.by_query(judged, ids) if judged else {}
    cells = []
    for measure in retrieval.NAMES:
        values = np.array([[figures[query][measure]] for query in judged]).reshape(-1, 1)
        cells.append(interval_text(intervals(values, np.ones_like(values), [True])[0]))
    counts = [
        cross_lingual.foreign([entry.lang for entry in rankings.get(q, ())], lang, _R_LANG_DEPTH)
        for q, lang in langs.items()
    ]
    over, under = (np.array([[float(count[n])] for count in counts]).reshape(-1, 1) for n in (0, 1))
    share = f"{interval_text(intervals(over, under, [True])[0])} ({over.sum():.0f} of {under.sum():.0f})"
    return [*names, str(len(langs)), str(len(judged)), *cells, share]


def table(title: str, names: Sequence[str], rows: list[list[str]]) -> Table:
    """Return rows as a table; `names` are the titles of the columns that `row` calls `names`."""
    measures = [f"{measure} %" for measure in (*retrieval.NAMES, f"r_lang@{_R_LANG_DEPTH}")]
    return Table(f"{title}, 95 % intervals", [*names, "n", "with gold", *measures], rows, [])
