"""The questions of a run, answered by replicas of its stages on the workers of a Ray cluster.

The command sends questions, and writes the records, as it does without a cluster: what is answered, failed or due is
decided here, so that a run may be continued with or without a cluster. A worker that dies is started again by Ray, and
its questions are asked again. Each worker opens the deployment once, on its node; all share the run's search cache."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qttrag.distributed.ray_cluster import cause, connected, has_gpus, start_on_this_node, start_workers
from qttrag.errors import CollectionError, ConfigError
from qttrag.evaluation.answers import AnswerRecord
from qttrag.evaluation.datasets.questions import Question
from qttrag.evaluation.runs import provenance, search_cache
from qttrag.evaluation.runs.answer_files import Cell
from qttrag.evaluation.runs.answering import Answerer, Answering, AnsweringJob, OpenAnswering

_RETRIES = 3  # of a question whose worker died: it may be what kills the worker
_HOME = "QTTRAG_HOME"


@contextmanager
def answering_on(cluster: str, *, workers: int | None = None) -> Iterator[OpenAnswering]:
    """Connect to a cluster and yield what opens the stages of a run on it.

    `cluster`, `workers`: as in `ray_encoders.encoders_on`.

    Raises:
        InputError: the cluster is another. ConfigError: Ray is not installed, or the cluster cannot be reached."""
    with connected(cluster):

        @asynccontextmanager
        async def opened(job: AnsweringJob) -> AsyncIterator[Answering]:
            replicas = await asyncio.to_thread(_Replicas, job, workers)
            try:
                yield replicas
            finally:
                replicas.stop()

        yield opened


class _Replicas:
    """Workers that answer the questions of one job; `in_flight` of the suite is the number of questions of each."""

    def __init__(self, job: AnsweringJob, workers: int | None) -> None:
        import ray

        # held here, too: Ray ends an actor when the workers that alone refer to it die
        self._searches = start_on_this_node(SearchCacheServer, job.run.folder.resolve())
        task = Task(job, os.environ.get(_HOME), provenance.of_node(job.run.identity, job.generator))
        # rankings and references may be large: stored once, and kept, since a worker that is started again needs them
        self._task = ray.put(task) if len(job.replayed) or job.oracle is not None else task
        self._workers = start_workers(
            AnsweringWorker,
            self._task,
            self._searches,
            count=workers,
            gpus=has_gpus(),
            stage="evaluation",
            retries=_RETRIES,
        )
        self.in_flight = job.suite.in_flight * len(self._workers)
        self._free: asyncio.Queue[Any] = asyncio.Queue()
        for worker in self._workers * job.suite.in_flight:
            self._free.put_nowait(worker)

    async def answer(self, cell: Cell, question: Question) -> AnswerRecord:
        """Return the record of one question, as `Answering.answer` does."""
        import ray

        worker = await self._free.get()
        try:
            record: AnswerRecord = await worker.answer.remote(cell, question)
        except (ConfigError, CollectionError) as error:  # Ray's own class, with a traceback for a message
            raise getattr(error, "cause", error) from None
        except ray.exceptions.RayError as error:
            reason = f"a worker of the cluster died with this question {_RETRIES + 1} times ({cause(error)})"
            return AnswerRecord(question.question_id, None, error=f"StageUnavailable: evaluation: {reason}")
        finally:
            self._free.put_nowait(worker)
        return record

    def stop(self) -> None:
        """Free the resources of the workers, for those of the next generator."""
        import ray

        for actor in (*self._workers, self._searches):
            ray.kill(actor)


@dataclass(frozen=True)
class Task:
    """A job, with $QTTRAG_HOME where it began, and the provenance that the files of each node must have."""

    job: AnsweringJob
    home: str | None
    provenance: Mapping[str, Any]


class AnsweringWorker:
    """The stages of a job on a node of the cluster. `searches`: the `SearchCacheServer` of the run.

    Raises:
        ConfigError: the node has other models, indexes or prompts."""

    def __init__(self, task: Task, searches: Any) -> None:
        if task.home is not None:
            os.environ[_HOME] = task.home
        here = provenance.of_deployment(task.job.deployment, like=task.provenance)
        if differences := provenance.differences(task.provenance, here):
            shown = "; ".join(differences[:3])
            raise ConfigError(f"the files of a node are not those of the command: {shown}; copy the same files there")
        self._answerer = Answerer(task.job, RemoteSearches(searches))

    async def ready(self) -> None:
        """Return when the deployment is open."""

    async def answer(self, cell: Cell, question: Question) -> AnswerRecord:
        return await self._answerer.answer(cell, question)


class SearchCacheServer:
    """The search cache of the run in a folder, on the node of the command."""

    def __init__(self, folder: Path) -> None:
        self._cache = search_cache.store(folder)

    def get_many(self, kind: str, keys: Sequence[bytes]) -> list[str | None]:
        return self._cache.get_many(kind, keys)

    def put_many(self, kind: str, items: Mapping[bytes, str]) -> None:
        self._cache.put_many(kind, items)


class RemoteSearches:
    """The search cache of the run, from a thread of a worker."""

    def __init__(self, server: Any) -> None:
        self._server = server

    def get_many(self, kind: str, keys: Sequence[bytes]) -> list[str | None]:
        values: list[str | None] = self._server.get_many.remote(kind, keys).future().result()
        return values

    def put_many(self, kind: str, items: Mapping[bytes, str]) -> None:
        self._server.put_many.remote(kind, items).future().result()
