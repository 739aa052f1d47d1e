"""Answer every question of a suite under every strategy and generator, in sessions that resume after a kill."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from qttrag.application.application import Application
from qttrag.application.named_models import collection_names
from qttrag.errors import InputError, StageError
from qttrag.evaluation import datasets
from qttrag.evaluation.answers import AnswerRecord
from qttrag.evaluation.datasets import replay
from qttrag.evaluation.datasets.questions import Question
from qttrag.evaluation.datasets.replay import ReplayedRetriever
from qttrag.evaluation.runs import references
from qttrag.evaluation.runs.answer_files import AnswerFile, Cell
from qttrag.evaluation.runs.answering import AnsweringJob, OpenAnswering, in_process
from qttrag.evaluation.runs.folder import Run, start_or_resume
from qttrag.evaluation.statistics import SEED
from qttrag.evaluation.suites import Suite
from qttrag.runtime.tasks import gather_or_cancel

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
    open_answering: OpenAnswering = in_process,
) -> Outcome:
    """Answer the selected questions that are not answered yet; answers are on the disk even if this raises.

    `open_answering`: opens the stages, in this process or elsewhere.

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
        session = _Session(suite, started, selection, on_progress, replayed, open_answering)
        await session.work({row: selection.of(some) for row, some in questions.items()})
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


class _Session:
    """One session of a run: its counters and the state that its workers share."""

    def __init__(
        self,
        suite: Suite,
        started: Run,
        selection: Selection,
        on_progress: Callable[[Progress], None],
        replayed: ReplayedRetriever,
        open_answering: OpenAnswering,
    ) -> None:
        self._replayed = replayed
        self._oracle = references.read(suite.references) if suite.references else None
        self._suite = suite
        self._run = started
        self._selection = selection
        self._on_progress = on_progress
        self._open_answering = open_answering
        self._total = 0
        self._consecutive_failures = 0
        self.answered = self.failed = self.skipped = self.repaired = 0

    async def work(self, questions: Mapping[str, Sequence[Question]]) -> None:
        """Answer the questions of all rows, with the models of one generator open at a time."""
        per_cell = sum(map(len, questions.values()))
        self._total = per_cell * len(self._suite.generators) * len(self._suite.strategies)
        for generator in self._suite.generators:
            cells = [Cell(row, generator, strategy) for row in questions for strategy in self._suite.strategies]
            files = {cell: AnswerFile(cell.file(self._run.folder)) for cell in cells}
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
        job = AnsweringJob(
            self._suite, generator, self._suite.deployment_for(generator), self._run, self._replayed, self._oracle
        )
        async with self._open_answering(job) as answering:
            remaining = iter(jobs)

            async def worker() -> None:
                for cell, question in remaining:
                    record = await answering.answer(cell, question)
                    await asyncio.to_thread(files[cell].append, record)
                    self._count(cell, record)

            await gather_or_cancel(worker() for _ in range(min(answering.in_flight, len(jobs))))

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
