"""Retrieval alone: of a deployment for the questions of a suite, or of another system's TREC run."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

import qttrag
from qttrag.application.application import Application
from qttrag.evaluation import document
from qttrag.evaluation.datasets import replay
from qttrag.evaluation.datasets.documents import as_judged
from qttrag.evaluation.datasets.questions import Question
from qttrag.evaluation.datasets.trec import RunEntry
from qttrag.evaluation.document import CellEntry, Figure
from qttrag.evaluation.metrics import cross_lingual, retrieval
from qttrag.evaluation.report.tables import Table, interval_text
from qttrag.evaluation.runs.search_cache import CachedSearch
from qttrag.evaluation.statistics import Interval, intervals
from qttrag.rerankers.none import NoReranker
from qttrag.runtime.cache import Cache
from qttrag.runtime.tasks import gather_or_cancel
from qttrag.types import Lang, Query

_R_LANG_DEPTH = 5  # as in arXiv:2510.23070
_R_LANG = f"r_lang@{_R_LANG_DEPTH}"
_IN_FLIGHT = 32

Rankings = Mapping[str, Sequence[RunEntry]]


class RetrievalCell(NamedTuple):
    """The figures of the rankings of `n` questions, of which `judged` have judged passages. `about`: what they are of.

    `by_question`: the values of the retrieval measures for each judged question. `foreign`: how many of the first five
    passages are in another language, of how many whose language is known."""

    about: dict[str, str]
    n: int
    judged: int
    figures: dict[str, Figure]
    by_question: dict[str, dict[str, float]]
    foreign: tuple[int, int]


async def search(
    application: Application,
    questions: Sequence[Question],
    *,
    cache: Cache,
    scope: str,
    pivot: Lang | None = None,
    on_answer: Callable[[], None] = lambda: None,
) -> dict[str, dict[str, list[RunEntry]]]:
    """Return the rankings by step ("retrieved", "reranked") and question id; without a reranker, only the first step.

    `pivot`: search with the questions translated into that language. `cache`: has the searches of an interrupted call;
    `scope`: what they depend on. `on_answer`: called after every question.

    Raises:
        ConfigError: there is a pivot but no translator.
        StageError: a stage failed."""
    stages = application.stages
    reranks = not isinstance(stages.reranker, NoReranker)
    search = CachedSearch(stages.retriever, stages.reranker, cache, scope=scope)
    rankings: dict[str, dict[str, list[RunEntry]]] = {"retrieved": {}, **({"reranked": {}} if reranks else {})}
    remaining = iter(questions)

    async def worker() -> None:
        for question in remaining:
            query = Query(question.text, question.lang, question.question_id)
            if pivot is not None:
                query = await stages.translate_query(query, pivot)
            hits = await search.retrieve(query, stages.depth)
            ranked = await search.rerank(query, hits)
            search.take(query.query_id)
            for by_question, some in zip(rankings.values(), (hits, ranked), strict=False):
                by_question[question.question_id] = [
                    RunEntry(h.passage.passage_id, h.score, h.passage.lang) for h in some
                ]
            on_answer()

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


def cell(
    about: Mapping[str, str],
    rankings: Rankings,
    judgements: Mapping[str, Mapping[str, int]],
    langs: Mapping[str, str],
    measures: Sequence[str] = retrieval.NAMES,
) -> RetrievalCell:
    """Return the figures of rankings of passages.

    `judgements`: the relevance of judged passages by question, possibly empty. `langs`: the language of every question.
    `measures`: names of ir-measures."""
    judged = {query: relevance for query, relevance in judgements.items() if relevance}
    ids = {query: [entry.passage_id for entry in rankings.get(query, ())] for query in judged}
    by_question = retrieval.by_query(judged, as_judged(ids, judged), measures) if judged else {}
    figures = {}
    for measure in measures if judged else ():
        interval = _interval([(values[measure], 1.0) for values in by_question.values()])
        signature = _signature(f"{measure}|trec_eval", about, len(judged), interval)
        figures[measure] = Figure(interval, len(judged), signature)
    counts = [
        cross_lingual.foreign([entry.lang for entry in rankings.get(q, ())], lang, _R_LANG_DEPTH)
        for q, lang in langs.items()
    ]
    known = sum(n > 0 for _, n in counts)
    share = _interval(counts)
    figures[_R_LANG] = Figure(share, known, _signature(f"{_R_LANG}|of:known", about, known, share))
    foreign, of = (sum(count[n] for count in counts) for n in (0, 1))
    return RetrievalCell(dict(about), len(langs), len(judged), figures, by_question, (foreign, of))


def _interval(values: Sequence[tuple[float, float]]) -> Interval:
    import numpy as np

    both = np.array(values, np.float64).reshape(-1, 2)
    return intervals(both[:, :1], both[:, 1:], [True])[0]


def _signature(measure: str, about: Mapping[str, str], n: int, interval: Interval) -> str:
    of = "".join(f"|{name}:{value}" for name, value in about.items())
    return f"{measure}{of}|n:{n}|ci:{interval.method}|v:{qttrag.__version__}"


def table(title: str, cells: Sequence[RetrievalCell]) -> Table:
    """Return a table with a row per cell."""
    names = list(dict.fromkeys(name for each in cells for name in each.figures if name != _R_LANG))
    rows = [
        [*each.about.values(), str(each.n), str(each.judged), *(_text(each, name) for name in names), _foreign(each)]
        for each in cells
    ]
    columns = [*(cells[0].about if cells else ()), "n", "judged", *(f"{name} %" for name in (*names, _R_LANG))]
    signatures = [figure.signature for each in cells for figure in each.figures.values()]
    return Table(f"{title}, 95 % intervals", columns, rows, signatures)


def _text(each: RetrievalCell, name: str) -> str:
    return interval_text(each.figures[name].interval if name in each.figures else _interval([]))


def _foreign(each: RetrievalCell) -> str:
    share = _text(each, _R_LANG)
    return f"{share} ({each.foreign[0]} of {each.foreign[1]})" if each.foreign[1] else share


def as_entry(each: RetrievalCell) -> CellEntry:
    """Return a cell as `--json` prints it."""
    counts = {"n": each.n, "judged": each.judged, "foreign": each.foreign[0], "language_known": each.foreign[1]}
    return document.cell(each.figures, **each.about, **counts)
