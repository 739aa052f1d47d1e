"""Runs of suites on a Ray cluster of three nodes: `make test-ray`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from qttrag.distributed.ray_answering import AnsweringWorker, answering_on
from qttrag.evaluation import suites
from qttrag.evaluation.answers import AnswerRecord
from qttrag.evaluation.runs.answer_files import read
from qttrag.evaluation.runs.folder import open_run
from qttrag.evaluation.runs.runner import Outcome, Progress, Selection, run
from tests import deployment, suite
from tests.distributed.workers import kill, worker_processes
from tests.openai_client.server import Reply, Server, text_reply
from tests.suite import figures

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("address"), pytest.mark.timeout(900)]
QUESTIONS = 3
DUE = 2 * QUESTIONS * len(suite.STRATEGIES)


async def on_cluster(
    path: Path, out: Path, on_progress: Callable[[Progress], None] = lambda progress: None, **selection: Any
) -> Outcome:
    with answering_on("ray", workers=2) as opened:
        loaded, selected = suites.load(str(path)), Selection(**selection)
        return await run(loaded, out, selection=selected, on_progress=on_progress, open_answering=opened)


def records(folder: Path) -> dict[str, list[AnswerRecord]]:
    """Return all records of each cell, repeated ones included, in the order of the questions."""
    cells = open_run(folder).cells()
    return {"/".join(cell): sorted(read(cell.file(folder)), key=lambda r: r.question_id) for cell in cells}


def contents(folder: Path) -> dict[str, list[Any]]:
    """Return what equal runs have in common."""
    return {
        cell: [(r.question_id, r.text, r.context, r.ranking, r.search, r.error) for r in some]
        for cell, some in records(folder).items()
    }


@pytest.fixture(scope="module")
def ready(tmp_path_factory: pytest.TempPathFactory, tiny: Path) -> Path:
    """A home with an index, a suite, and its run "alone" in this process."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("QTTRAG_HOME", str(home))
        deployment.build(home, tiny)
        path = suite.write_suite(home, tiny, n=QUESTIONS)
        _one_text_a_batch(home / "deployment.yaml")
        asyncio.run(run(suites.load(str(path)), home / "alone"))
    return home


def _one_text_a_batch(path: Path) -> None:
    """Make what untrained models write independent of batches: a question that was killed finds a part in the cache."""
    settings = yaml.safe_load(path.read_text(encoding="utf-8"))
    settings["translator"]["batch_tokens"] = 1
    settings["generator"]["max_batch"] = 1
    path.write_text(yaml.safe_dump(settings), encoding="utf-8")


@pytest.fixture
def path(ready: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The suite, with an empty cache."""
    monkeypatch.setenv("QTTRAG_HOME", str(ready))
    monkeypatch.setenv("QTTRAG_CACHE__PATH", str(tmp_path / "cache.sqlite"))
    return ready / "tiny.yaml"


async def test_records_and_figures_are_those_of_one_process(tmp_path: Path, path: Path) -> None:
    outcome = await on_cluster(path, tmp_path / "out")
    assert (outcome.answered, outcome.failed) == (DUE, 0)
    assert contents(tmp_path / "out") == contents(path.parent / "alone")
    assert figures(tmp_path / "out") == figures(path.parent / "alone")


async def test_questions_of_a_worker_that_is_killed_are_asked_again(tmp_path: Path, path: Path) -> None:
    killed: list[int] = []

    def kill_one(progress: Progress) -> None:
        due = progress.done >= 4 * (len(killed) + 1) and len(killed) < 2
        if due and (alive := worker_processes(AnsweringWorker)):  # one that waits has another title
            killed.append(alive[0])
            kill(alive[0])

    outcome = await on_cluster(path, tmp_path / "out", kill_one)
    assert len(set(killed)) == 2
    assert (outcome.answered, outcome.failed) == (DUE, 0)
    assert contents(tmp_path / "out") == contents(path.parent / "alone")


async def test_a_run_of_the_cluster_goes_on_in_one_process(tmp_path: Path, path: Path) -> None:
    first = await on_cluster(path, tmp_path / "out", limit=1)
    rest = await run(suites.load(str(path)), tmp_path / "out")
    assert (first.answered, rest.skipped, rest.answered) == (6, 6, DUE - 6)
    assert contents(tmp_path / "out") == contents(path.parent / "alone")


async def test_a_question_with_which_every_worker_dies_is_recorded_as_failed(tmp_path: Path, path: Path) -> None:
    def reply(body: dict[str, Any]) -> Reply:
        for process in worker_processes(AnsweringWorker):
            kill(process)
        return text_reply("never read")

    with Server(reply) as server, answering_on("ray", workers=1) as opened:
        served = {"kind": "openai", "model": "m", "base_url": server.base_url, "retries": 0, "context": 4096}
        changes = {"generators": {"served": served}, "datasets": {"mine": {"langs": ["ko"]}}}
        strategies = {"strategies": {"cross_rag": None, "qtt_rag": None}, "headline": {"of": "base", "over": "base"}}
        small = suites.load(str(path), {**changes, **strategies})
        outcome = await run(small, tmp_path / "out", selection=Selection(limit=1), open_answering=opened)
    assert (outcome.answered, outcome.failed) == (0, 1)
    ((record,),) = records(tmp_path / "out").values()
    assert "a worker of the cluster died with this question 4 times" in str(record.error)
