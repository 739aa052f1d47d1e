"""Answers the questions of a run with the stages of one deployment, in this process or in another."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace
from typing import NamedTuple, Protocol

from qttrag.application.application import Application
from qttrag.config.deployment import Deployment
from qttrag.errors import CollectionError, ConfigError
from qttrag.evaluation.answers import AnswerRecord, RankedPassage
from qttrag.evaluation.datasets.questions import Question
from qttrag.evaluation.datasets.replay import ReplayedRetriever
from qttrag.evaluation.runs import search_cache
from qttrag.evaluation.runs.answer_files import Cell
from qttrag.evaluation.runs.folder import Run
from qttrag.evaluation.runs.references import ReferenceOracle
from qttrag.evaluation.runs.search_cache import CachedSearch, Ranking
from qttrag.evaluation.suites import Suite
from qttrag.protocols import Reranker, Retriever
from qttrag.rerankers.none import NoReranker
from qttrag.runtime.result_cache import Entries
from qttrag.types import Answer, AskRequest


@dataclass(frozen=True)
class AnsweringJob:
    """A suite under one of its generators. `deployment`: with that generator. `run`: where the answers are written.

    `replayed`: the rankings of questions that are not searched."""

    suite: Suite
    generator: str
    deployment: Deployment
    run: Run
    replayed: ReplayedRetriever
    oracle: ReferenceOracle | None

    def is_replayed(self, question: Question) -> bool:
        return self.suite.run is not None or question.passages is not None


class Answering(Protocol):
    """Answers questions. `in_flight`: how many at the same time."""

    in_flight: int

    async def answer(self, cell: Cell, question: Question) -> AnswerRecord:
        """Return the record of one question; if it cannot be answered, with the cause.

        Raises:
            ConfigError, CollectionError: no question can be answered."""
        ...


OpenAnswering = Callable[[AnsweringJob], AbstractAsyncContextManager[Answering]]
"""Opens the stages of a job until the end of the block."""


@asynccontextmanager
async def in_process(job: AnsweringJob) -> AsyncIterator[Answering]:
    """Open the stages in this process."""
    cache = search_cache.store(job.run.folder)
    try:
        answerer = Answerer(job, cache)
        try:
            yield answerer
        finally:
            await answerer.close()
    finally:
        cache.close()


class _Asked(NamedTuple):
    """An application and its search."""

    application: Application
    search: CachedSearch


class Answerer:
    """The open stages of a job. `cache`: of its searches. Models load with the first question.

    Raises:
        ConfigError: the deployment is invalid."""

    def __init__(self, job: AnsweringJob, cache: Entries) -> None:
        self.in_flight = job.suite.in_flight
        self._job = job
        self._cache = cache
        self._opened = Application.open(job.deployment)
        stages = self._opened.stages
        self._searching = self._asked(stages.retriever, stages.reranker)
        self._replaying = self._asked(job.replayed, NoReranker())

    async def close(self) -> None:
        await self._opened.close()

    def _asked(self, retriever: Retriever, reranker: Reranker) -> _Asked:
        search = CachedSearch(retriever, reranker, self._cache)
        stages = replace(self._opened.stages, retriever=search, reranker=search, oracle=self._job.oracle)
        return _Asked(replace(self._opened, stages=stages), search)

    async def answer(self, cell: Cell, question: Question) -> AnswerRecord:
        """Return the record of one question, as `Answering.answer` does."""
        asked = self._replaying if self._job.is_replayed(question) else self._searching
        query_id = f"{cell.dataset}/{cell.strategy}/{question.question_id}"
        try:
            answer = await asked.application.ask(self._request(cell, question, query_id))
        except (ConfigError, CollectionError):  # every other question would fail with it too
            raise
        except Exception as error:
            asked.search.take(query_id)
            return AnswerRecord(question.question_id, None, error=f"{type(error).__name__}: {error}")
        return _record(question, answer, asked.search.take(query_id))

    def _request(self, cell: Cell, question: Question, query_id: str) -> AskRequest:
        strategy = self._job.suite.strategy(cell.strategy)
        return AskRequest(
            question.text,
            lang=question.lang,
            strategy=strategy.strategy,
            options=strategy.options,
            collections=strategy.collections,
            limits=strategy.limits,
            query_id=query_id,
        )


def _record(question: Question, answer: Answer, ranking: Ranking | None) -> AnswerRecord:
    return AnswerRecord(
        question.question_id,
        answer.text,
        context=answer.context,
        ranking=tuple(RankedPassage(hit.passage.passage_id, hit.score) for hit in ranking.hits) if ranking else (),
        search=ranking.key if ranking else None,
        seconds={name: round(value, 4) for name, value in answer.trace.seconds.items()},
        counts=dict(answer.trace.counts),
        notes=tuple(map(str, answer.trace.notes)),
        abstained=answer.abstained,
        missing=tuple(answer.degraded),
    )
