"""Builds on a Ray cluster of three nodes: `make test-ray`."""

from __future__ import annotations

import hashlib
import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from qttrag import resources
from qttrag.application.factory import open_encoder
from qttrag.distributed.ray_encoders import encoders_on
from qttrag.indexes.jobs.build import build
from qttrag.indexes.jobs.index_job import Progress
from qttrag.indexes.recipe import load
from tests.distributed.workers import kill, worker_processes
from tests.stores import databases

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("address"), pytest.mark.timeout(300)]


def sums() -> dict[str, str]:
    """Return the digest of every file of the index but its manifest, which has a time."""
    folder = resources.built_folder() / "mixed"
    files = (path for path in folder.iterdir() if path.name != "manifest.json")
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture(scope="module")
def alone(recipe: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The files of the index that one process builds."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("QTTRAG_HOME", str(tmp_path_factory.mktemp("alone")))
        build(load(recipe), open_encoder=open_encoder)
        return sums()


def test_an_index_of_two_workers_is_that_of_one_process(recipe: Path, alone: dict[str, str]) -> None:
    with encoders_on("ray", workers=2) as on_cluster:
        build(load(recipe), open_encoder=on_cluster)
    assert sums() == alone


def test_a_worker_that_is_killed_loses_and_doubles_no_passage(recipe: Path, alone: dict[str, str]) -> None:
    killed: list[int] = []

    def kill_one(progress: Progress) -> None:
        if progress.step == "encode" and progress.passages > 1000 * (len(killed) + 1) and len(killed) < 2:
            killed.append(worker_processes()[0])
            kill(killed[-1])

    with encoders_on("ray", workers=2) as on_cluster:
        build(load(recipe), open_encoder=on_cluster, progress=kill_one)
    assert len(set(killed)) == 2
    assert sums() == alone


def test_a_node_that_is_lost_is_replaced_by_another(cluster: Any, recipe: Path, alone: dict[str, str]) -> None:
    lost: list[int] = []
    node = cluster.add_node(num_cpus=1)

    def remove_node(progress: Progress) -> None:
        if progress.step == "encode" and progress.passages > 1000 and not lost:
            lost.append(progress.passages)
            cluster.remove_node(node, allow_graceful=False)

    with encoders_on("ray", workers=2) as on_cluster:
        build(load(recipe), open_encoder=on_cluster, progress=remove_node)
    assert lost
    assert sums() == alone


def kill_after_shards(command: list[str], shards: int) -> Path:
    """Run a build and kill it when so many shards are finished; return its journal."""
    journal = resources.built_folder() / ".mixed.building" / "progress.json"
    first = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    while first.poll() is None and not (journal.exists() and len(json.loads(journal.read_bytes())["shards"]) >= shards):
        time.sleep(0.005)
    first.send_signal(signal.SIGKILL)
    first.wait()
    return journal


def test_after_the_command_is_killed_it_goes_on_with_the_next_shard(recipe: Path, alone: dict[str, str]) -> None:
    command = [sys.executable, "-m", "qttrag", "index", "build", str(recipe), "--on", "ray", "--workers", "2", "--json"]
    journal = kill_after_shards(command, 2)
    finished = json.loads(journal.read_bytes())["shards"]
    files = {
        name: (journal.parent / "index" / name).stat().st_mtime_ns for shard in finished for name in shard["files"]
    }
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    assert 2 <= len(finished) < 6
    index = resources.built_folder() / "mixed"
    assert {name: (index / name).stat().st_mtime_ns for name in files} == files
    assert sums() == alone


def test_a_build_into_a_store_goes_on_after_a_kill_and_doubles_nothing(recipe: Path, tmp_path: Path) -> None:
    address = f"milvus:{tmp_path / 'milvus.db'}"
    command = [sys.executable, "-m", "qttrag", "index", "build", str(recipe), "--on", "ray", "--workers", "2"]
    command += ["--store", address, "--json"]
    kill_after_shards(command, 2)
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    store = databases.store("milvus", tmp_path, "mixed")  # only now: one process has the file at a time
    published = store.published()
    assert published is not None
    assert (store.manifest.rows, store.manifest.shards, store.manifest.state) == (3000, 6, "complete")
    assert store.database.count(published.name) == 3000
