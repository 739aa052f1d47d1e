"""Answering every question of a suite under every strategy and generator, so that it can be killed and go on."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from qttrag.application.application import Application
from qttrag.errors import CollectionError, ConfigError, InputError, StageError
from qttrag.evaluation import datasets
from qttrag.evaluation.datasets import replay
from qttrag.evaluation.datasets.questions import Question
from qttrag.evaluation.datasets.replay import ReplayedRetriever
from qttrag.evaluation.runs import folder as runs
from qttrag.evaluation.runs import search_cache as search
from qttrag.evaluation.runs.records import AnswerFile, Cell, Found, Record
from qttrag.evaluation.statistics import SEED
from qttrag.evaluation.suites import Suite
from qttrag.models import inventory as models
from qttrag.pipeline.stages import Stages
from qttrag.rerankers.none import NoReranker
from qttrag.runtime.cache import Cache
from qttrag.runtime.tasks import gather_or_cancel
from qttrag.types import Answer

_GIVE_UP = 50  # failures one after another: a server is down, and would fail the rest of the suite too


class Progress(NamedTuple):
    """How far a run is. `total` includes what was done before; `failed` counts questions now without an answer."""

    done: int
    total: int
    failed: int
    cell: Cell


@dataclass(frozen=True)
class Outcome:
    """What a session of a run did. `skipped`: finished before. `torn`: lines that a kill had cut off."""

    run: runs.Run
    answered: int
    failed: int
    skipped: int
    torn: int


@dataclass(frozen=True)
class Choice:
    """Which questions to answer. `limit`: the first so many of each row. `sample`: so many drawn at random, the same
    each time, more of them including fewer. `retry_failed`: those, too, that failed before."""

    limit: int | None = None
    sample: int | None = None
    retry_failed: bool = False

    def of(self, questions: Sequence[Question]) -> list[Question]:
        chosen = list(questions)
        if self.sample is not None:
            order = random.Random(SEED).sample(range(len(chosen)), len(chosen))  # noqa: S311  a sample, no secret
            chosen = [chosen[n] for n in sorted(order[: self.sample])]
        return chosen[: self.limit]


async def run(
    suite: Suite,
    folder: Path,
    *,
    choice: Choice = Choice(),
    on_progress: Callable[[Progress], None] = lambda progress: None,
) -> Outcome:
    """Answer what is not answered yet; return when all is, or raise, leaving what is done on the disk.

    Raises:
        InputError: a dataset is not as it must be, the folder has another run, or one is going on in it.
        ConfigError, CollectionError: the deployment is not as it must be, or an index or model is missing.
        StageError: 50 questions failed one after another."""
    loaded = {row: datasets.load(row, spec) for row, spec in suite.rows().items()}
    notes = [note for dataset in loaded.values() for note in dataset.notes]
    notes += [f"{row}: {n} left out: {cause}" for row, d in loaded.items() for cause, n in sorted(d.left_out.items())]
    questions = {row: dataset.questions for row, dataset in loaded.items()}
    replayed, told = _replayed(suite, questions)
    with _alone(folder):
        begun = runs.begin(folder, suite, questions, [*notes, *told])
        kept = search.store(folder)
        try:
            session = _Session(suite, folder, kept, choice, on_progress, replayed)
            await session.work({row: choice.of(asked) for row, asked in questions.items()})
        finally:
            kept.close()
    return Outcome(begun, session.answered, session.failed, session.skipped, session.torn)


def _replayed(suite: Suite, questions: Mapping[str, Sequence[Question]]) -> tuple[ReplayedRetriever | None, list[str]]:
    """Return what takes the place of the search, None where nothing does, and what there is to say about it."""
    found = {key: hits for row, asked in questions.items() for key, hits in replay.given(row, asked).items()}
    told: list[str] = []
    if suite.run is not None:
        deployment = suite.deployment_for(next(iter(suite.generators)))
        ids = [question.question_id for asked in questions.values() for question in asked]
        theirs, told = replay.load(suite.run, models.collections(deployment), ids)
        found |= theirs
    return ReplayedRetriever(found) if found else None, told


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Keep other processes from running in the same folder."""
    from filelock import FileLock, Timeout

    folder.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(folder / ".lock", timeout=0):
            yield
    except Timeout:
        raise InputError(
            f"another process is running a suite in {folder}; wait for it, or name another --out"
        ) from None


class _Session:
    """One session of a run: its counters and what its workers share."""

    def __init__(
        self,
        suite: Suite,
        folder: Path,
        kept: Cache,
        choice: Choice,
        on_progress: Callable[[Progress], None],
        replayed: ReplayedRetriever | None,
    ) -> None:
        self._replayed = replayed
        self._suite = suite
        self._folder = folder
        self._kept = kept
        self._choice = choice
        self._on_progress = on_progress
        self._total = 0
        self._in_a_row = 0
        self.answered = self.failed = self.skipped = self.torn = 0

    async def work(self, questions: Mapping[str, Sequence[Question]]) -> None:
        """Answer the questions of every row, one generator's models being open at a time."""
        per_cell = sum(map(len, questions.values()))
        self._total = per_cell * len(self._suite.generators) * len(self._suite.strategies)
        for generator in self._suite.generators:
            cells = [Cell(row, generator, strategy) for row in questions for strategy in self._suite.strategies]
            files = {cell: AnswerFile(cell.file(self._folder)) for cell in cells}
            self.torn += sum(file.torn for file in files.values())
            try:
                jobs = [(cell, q) for cell in cells for q in questions[cell.dataset] if self._is_open(files[cell], q)]
                if jobs:
                    await self._answer_all(generator, files, jobs)
            finally:
                for file in files.values():
                    file.close()

    def _is_open(self, file: AnswerFile, question: Question) -> bool:
        still_open = question.question_id not in file.done
        if question.question_id in file.failed and not self._choice.retry_failed:
            still_open = False
        self.skipped += not still_open
        return still_open

    async def _answer_all(
        self, generator: str, files: Mapping[Cell, AnswerFile], jobs: Sequence[tuple[Cell, Question]]
    ) -> None:
        async with Application.open(self._suite.deployment_for(generator)) as opened:
            kept = self._search(opened.stages)
            application = replace(opened, stages=replace(opened.stages, retriever=kept, reranker=kept))
            waiting = iter(jobs)

            async def worker() -> None:
                for cell, question in waiting:
                    record = await self._answer(application, kept, cell, question)
                    await asyncio.to_thread(files[cell].append, record)
                    self._count(cell, record)

            await gather_or_cancel(worker() for _ in range(min(self._suite.in_flight, len(jobs))))

    def _search(self, stages: Stages) -> search.KeptSearch:
        if self._replayed:
            return search.KeptSearch(self._replayed, NoReranker(), self._kept)
        return search.KeptSearch(stages.retriever, stages.reranker, self._kept)

    async def _answer(
        self, application: Application, kept: search.KeptSearch, cell: Cell, question: Question
    ) -> Record:
        strategy = self._suite.strategy(cell.strategy)
        query_id = f"{cell.dataset}/{cell.strategy}/{question.question_id}"
        try:
            answer = await application.ask(
                question.text,
                lang=question.lang,
                strategy=strategy.strategy,
                options=strategy.options,
                query_id=query_id,
            )
        except (ConfigError, CollectionError):  # the next question would meet it, too
            raise
        except Exception as error:
            kept.take(query_id)
            return Record(question.question_id, None, error=f"{type(error).__name__}: {error}")
        return _record(question, answer, kept.take(query_id))

    def _count(self, cell: Cell, record: Record) -> None:
        self.answered += not record.failed
        self.failed += record.failed
        self._in_a_row = self._in_a_row + 1 if record.failed else 0
        if self._in_a_row >= _GIVE_UP:
            raise StageError(
                "evaluation",
                f"{_GIVE_UP} questions failed one after another, the last with: {record.error}; mend that, "
                "then run again with --retry-failed",
            )
        done = self.answered + self.failed + self.skipped
        self._on_progress(Progress(done, self._total, self.failed, cell))


def _record(question: Question, answer: Answer, ranking: search.Ranking | None) -> Record:
    return Record(
        question.question_id,
        answer.text,
        context=answer.context,
        ranking=tuple(Found(hit.passage.passage_id, hit.score) for hit in ranking.hits) if ranking else (),
        search=ranking.key if ranking else None,
        seconds={name: round(value, 4) for name, value in answer.trace.seconds.items()},
        counts=dict(answer.trace.counts),
        notes=tuple(answer.trace.notes),
    )
