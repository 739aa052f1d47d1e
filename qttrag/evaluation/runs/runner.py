"""Answer every question of a suite under every strategy and generator, in sessions that resume after a kill."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from qttrag.application.application import Application
from qttrag.application.named_models import collection_names
from qttrag.errors import CollectionError, ConfigError, InputError, StageError
from qttrag.evaluation import datasets
from qttrag.evaluation.answers import AnswerRecord, RankedPassage
from qttrag.evaluation.datasets import replay
from qttrag.evaluation.datasets.questions import Question
from qttrag.evaluation.datasets.replay import ReplayedRetriever
from qttrag.evaluation.runs import references, search_cache
from qttrag.evaluation.runs.answer_files import AnswerFile, Cell
from qttrag.evaluation.runs.folder import Run, start_or_resume
from qttrag.evaluation.runs.search_cache import CachedSearch, Ranking
from qttrag.evaluation.statistics import SEED
from qttrag.evaluation.suites import Suite
from qttrag.protocols import Reranker, Retriever
from qttrag.rerankers.none import NoReranker
from qttrag.runtime.cache import Cache
from qttrag.runtime.tasks import gather_or_cancel
from qttrag.types import Answer, AskRequest

_MAX_CONSECUTIVE_FAILURES = 50  # a server is down, and the rest of the suite would fail too


class Progress(NamedTuple):
    """The progress of a run, in questions times cells; `total` includes earlier sessions, `failed` is of this one."""

    done: int
    total: int
    failed: int
    cell: Cell


@dataclass(frozen=True)
class Outcome:
    """The outcome of one session of a run. `skipped`: questions of earlier sessions. `repaired`: incomplete lines that
    were removed, and whose questions were answered again."""

    run: Run
    answered: int
    failed: int
    skipped: int
    repaired: int


@dataclass(frozen=True)
class Selection:
    """The questions to answer. `limit`: the first N of each row. `sample`: N random ones of each row, the same for the
    same N; a larger sample includes a smaller one. `retry_failed`: also those that failed in earlier sessions.
    `retry_degraded`: also those whose answers lack something because a stage was unavailable."""

    limit: int | None = None
    sample: int | None = None
    retry_failed: bool = False
    retry_degraded: bool = False

    def of(self, questions: Sequence[Question]) -> list[Question]:
        selected = list(questions)
        if self.sample is not None:
            order = random.Random(SEED).sample(range(len(selected)), len(selected))  # noqa: S311  not a secret
            selected = [selected[n] for n in sorted(order[: self.sample])]
        return selected[: self.limit]


async def run(
    suite: Suite,
    folder: Path,
    *,
    selection: Selection = Selection(),
    on_progress: Callable[[Progress], None] = lambda progress: None,
) -> Outcome:
    """Answer the selected questions that are not answered yet; answers are on the disk even if this raises.

    Raises:
        InputError: a dataset is invalid, the folder has another run, or another process is running in it.
        ConfigError, CollectionError: the deployment is invalid, or an index or model is missing.
        StageError: 50 consecutive questions failed."""
    loaded = {name: datasets.load(name, row.settings, row.lang) for name, row in suite.rows().items()}
    notes = [note for dataset in loaded.values() for note in dataset.notes]
    notes += [f"{row}: {n} left out: {cause}" for row, d in loaded.items() for cause, n in sorted(d.left_out.items())]
    questions = {row: dataset.questions for row, dataset in loaded.items()}
    await _check_strategies(suite)
    replayed, replay_notes = _replayed(suite, questions)
    with _exclusive_lock(folder):
        started = start_or_resume(folder, suite, questions, [*notes, *replay_notes])
        cache = search_cache.store(folder)
        try:
            session = _Session(suite, folder, cache, selection, on_progress, replayed)
            await session.work({row: selection.of(some) for row, some in questions.items()})
        finally:
            cache.close()
    return Outcome(started, session.answered, session.failed, session.skipped, session.repaired)


async def _check_strategies(suite: Suite) -> None:
    """Raise ConfigError if a deployment lacks a stage that a strategy of the suite needs; no model is loaded."""
    for generator in suite.generators:
        async with Application.open(suite.deployment_for(generator)) as application:
            for name in suite.strategies:
                strategy = suite.strategy(name)
                await application.check_strategy(strategy.strategy, strategy.options)
                application.check_collections(strategy.collections)


def _replayed(suite: Suite, questions: Mapping[str, Sequence[Question]]) -> tuple[ReplayedRetriever, list[str]]:
    """Return the retriever of fixed rankings: those of the suite's run, and of questions with passages of their own;
    and notes about it."""
    rankings = {key: hits for row, some in questions.items() for key, hits in replay.own_passages(row, some).items()}
    notes: list[str] = []
    if suite.run is not None:
        deployment = suite.deployment_for(next(iter(suite.generators)))
        ids = [question.question_id for some in questions.values() for question in some]
        of_run, notes = replay.load(suite.run, collection_names(deployment), ids)
        rankings |= of_run
    return ReplayedRetriever(rankings), notes


@contextmanager
def _exclusive_lock(folder: Path) -> Iterator[None]:
    """Prevent other processes from running a suite in the same folder."""
    from filelock import FileLock, Timeout

    folder.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(folder / ".lock", timeout=0):
            yield
    except Timeout:
        raise InputError(
            f"another process is running a suite in {folder}; wait for it, or name another --out"
        ) from None


class _Asked(NamedTuple):
    """An application and its search."""

    application: Application
    search: CachedSearch


class _Session:
    """One session of a run: its counters and the state that its workers share."""

    def __init__(
        self,
        suite: Suite,
        folder: Path,
        cache: Cache,
        selection: Selection,
        on_progress: Callable[[Progress], None],
        replayed: ReplayedRetriever,
    ) -> None:
        self._replayed = replayed
        self._oracle = references.read(suite.references) if suite.references else None
        self._suite = suite
        self._folder = folder
        self._cache = cache
        self._selection = selection
        self._on_progress = on_progress
        self._total = 0
        self._consecutive_failures = 0
        self.answered = self.failed = self.skipped = self.repaired = 0

    async def work(self, questions: Mapping[str, Sequence[Question]]) -> None:
        """Answer the questions of all rows, with the models of one generator open at a time."""
        per_cell = sum(map(len, questions.values()))
        self._total = per_cell * len(self._suite.generators) * len(self._suite.strategies)
        for generator in self._suite.generators:
            cells = [Cell(row, generator, strategy) for row in questions for strategy in self._suite.strategies]
            files = {cell: AnswerFile(cell.file(self._folder)) for cell in cells}
            self.repaired += sum(file.repaired for file in files.values())
            try:
                jobs = [(cell, q) for cell in cells for q in questions[cell.dataset] if self._is_due(files[cell], q)]
                if jobs:
                    await self._answer_all(generator, files, jobs)
            finally:
                for file in files.values():
                    file.close()

    def _is_due(self, file: AnswerFile, question: Question) -> bool:
        due = question.question_id not in file.done
        if question.question_id in file.degraded and self._selection.retry_degraded:
            due = True
        if question.question_id in file.failed and not self._selection.retry_failed:
            due = False
        self.skipped += not due
        return due

    async def _answer_all(
        self, generator: str, files: Mapping[Cell, AnswerFile], jobs: Sequence[tuple[Cell, Question]]
    ) -> None:
        async with Application.open(self._suite.deployment_for(generator)) as opened:
            searching = self._asked(opened, opened.stages.retriever, opened.stages.reranker)
            replaying = self._asked(opened, self._replayed, NoReranker())
            remaining = iter(jobs)

            async def worker() -> None:
                for cell, question in remaining:
                    asked = replaying if self._is_replayed(question) else searching
                    record = await self._answer(asked, cell, question)
                    await asyncio.to_thread(files[cell].append, record)
                    self._count(cell, record)

            await gather_or_cancel(worker() for _ in range(min(self._suite.in_flight, len(jobs))))

    def _asked(self, opened: Application, retriever: Retriever, reranker: Reranker) -> _Asked:
        search = CachedSearch(retriever, reranker, self._cache)
        stages = replace(opened.stages, retriever=search, reranker=search, oracle=self._oracle)
        return _Asked(replace(opened, stages=stages), search)

    def _is_replayed(self, question: Question) -> bool:
        return self._suite.run is not None or question.passages is not None

    async def _answer(self, asked: _Asked, cell: Cell, question: Question) -> AnswerRecord:
        strategy = self._suite.strategy(cell.strategy)
        query_id = f"{cell.dataset}/{cell.strategy}/{question.question_id}"
        try:
            request = AskRequest(
                question.text,
                lang=question.lang,
                strategy=strategy.strategy,
                options=strategy.options,
                collections=strategy.collections,
                limits=strategy.limits,
                query_id=query_id,
            )
            answer = await asked.application.ask(request)
        except (ConfigError, CollectionError):  # every other question would fail with it too
            raise
        except Exception as error:
            asked.search.take(query_id)
            return AnswerRecord(question.question_id, None, error=f"{type(error).__name__}: {error}")
        return _record(question, answer, asked.search.take(query_id))

    def _count(self, cell: Cell, record: AnswerRecord) -> None:
        self.answered += not record.failed
        self.failed += record.failed
        self._consecutive_failures = self._consecutive_failures + 1 if record.failed else 0
        if self._consecutive_failures >= _MAX_CONSECUTIVE_FAILURES:
            raise StageError(
                "evaluation",
                f"{_MAX_CONSECUTIVE_FAILURES} consecutive questions failed, the last with: {record.error}; correct "
                "the cause, then run again with --retry-failed",
            )
        done = self.answered + self.failed + self.skipped
        self._on_progress(Progress(done, self._total, self.failed, cell))


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
