"""Batches from concurrent calls, for one device or server."""

from __future__ import annotations

import asyncio
import contextvars
import functools
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Generic, TypeVar

from qttrag.errors import StageUnavailable

T = TypeVar("T")
R = TypeVar("R")


@dataclass(eq=False, slots=True)
class _Job(Generic[T, R]):
    item: T
    length: int
    key: Hashable
    future: asyncio.Future[R]


class Batcher(Generic[T, R]):
    """Turns concurrent calls into batches for a synchronous `run`.

    There is no timer: a single call runs at once; items that arrive while the device is busy form the next batches,
    longest first, so that a batch needs little padding. A batch holds at most `max_items` items of one `key` and,
    padded to its longest, at most `max_length` units of `length`; a longer item is a batch of its own. A short item
    cannot starve: batches are taken from a round, which is everything that waited when the round began.
    A batch that fails is retried item by item, so that one bad item fails alone; where the stage is unavailable, all
    fail at once. Items of cancelled callers are skipped. One event loop at a time.

    `at_once`: batches that run at the same time, for a server; `executor` has as many threads.
    """

    def __init__(
        self,
        run: Callable[[list[T]], Sequence[R]],
        *,
        executor: Executor,
        length: Callable[[T], int],
        max_items: int = 64,
        max_length: int = 16_384,
        key: Callable[[T], Hashable] = lambda item: None,
        at_once: int = 1,
    ) -> None:
        self._run = run
        self._executor = executor
        self._length = length
        self._max_items = max_items
        self._max_length = max_length
        self._key = key
        self._at_once = at_once
        self._waiting: list[_Job[T, R]] = []
        self._round: list[_Job[T, R]] = []
        self._workers: list[asyncio.Task[None]] = []

    async def map(self, items: Sequence[T]) -> list[R]:
        """Return one result per item, in the items' order.

        Raises:
            Exception: from `run`, for the first of these items that failed."""
        loop = asyncio.get_running_loop()
        jobs = [_Job(i, self._length(i), self._key(i), loop.create_future()) for i in items]
        self._waiting.extend(jobs)
        self._ensure_worker(loop)
        try:
            await asyncio.gather(*(job.future for job in jobs), return_exceptions=True)
        finally:
            for job in jobs:
                job.future.cancel()
        return [job.future.result() for job in jobs]

    def _ensure_worker(self, loop: asyncio.AbstractEventLoop) -> None:
        self._workers = [task for task in self._workers if not task.done() and task.get_loop() is loop]
        if not self._workers:
            self._waiting = [job for job in self._waiting if job.future.get_loop() is loop]
            self._round = []
        if len(self._workers) < self._at_once:
            # an empty context: a batch serves many callers, so its counts must not go to the question of the first
            self._workers.append(loop.create_task(self._drain(loop), context=contextvars.Context()))

    async def _drain(self, loop: asyncio.AbstractEventLoop) -> None:
        while batch := self._next_batch():
            if self._round or self._waiting:
                self._ensure_worker(loop)
            await self._serve(batch)

    def _next_batch(self) -> list[_Job[T, R]]:
        while self._round or self._waiting:
            if not self._round:
                self._round, self._waiting = self._waiting, []
                self._round.sort(key=lambda job: job.length, reverse=True)
            if batch := self._take(self._round):
                return batch
        return []

    def _take(self, round_: list[_Job[T, R]]) -> list[_Job[T, R]]:
        round_[:] = [job for job in round_ if not job.future.done()]
        if not round_:
            return []
        first = round_[0]
        room = max(1, min(self._max_items, self._max_length // max(1, first.length)))
        batch = [job for job in round_ if job.key == first.key][:room]
        taken = set(map(id, batch))
        round_[:] = [job for job in round_ if id(job) not in taken]
        return batch

    async def _serve(self, batch: list[_Job[T, R]]) -> None:
        try:
            results = await self._call([job.item for job in batch])
        except Exception as error:
            if len(batch) == 1 or isinstance(error, StageUnavailable):  # no item is to blame for a server that is down
                for job in batch:
                    _resolve(job.future, error=error)
                return
            for job in batch:
                if not job.future.done():
                    await self._serve([job])
            return
        for job, result in zip(batch, results, strict=True):
            _resolve(job.future, result)

    async def _call(self, items: list[T]) -> Sequence[R]:
        loop = asyncio.get_running_loop()
        results = await loop.run_in_executor(self._executor, functools.partial(self._run_batch, items))
        if len(results) != len(items):
            raise RuntimeError(f"a batch of {len(items)} items returned {len(results)} results")
        return results

    def _run_batch(self, items: list[T]) -> Sequence[R]:
        try:
            return self._run(items)
        except StopIteration as error:  # a future cannot hold it: its callers would wait forever
            raise RuntimeError(f"a batch of {len(items)} items raised StopIteration") from error


def _resolve(future: asyncio.Future[R], result: R | None = None, *, error: Exception | None = None) -> None:
    if future.done():  # the caller was cancelled
        return
    if error is not None:
        future.set_exception(error)
    else:
        future.set_result(result)  # type: ignore[arg-type]
