"""Builds of the demo corpus on a Ray cluster of three nodes on this machine.

`python -m benchmarks.ray_builds speed --times 50`: one process against 1 and 2 workers; equal rows.
`python -m benchmarks.ray_builds kills --kills 20`: workers, nodes and the command are killed at random moments.
It needs Ray (`make test-ray` makes an environment) and `demo/data` (`make demo`)."""

from __future__ import annotations

import hashlib
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import typer

from qttrag.application.factory import open_encoder
from qttrag.distributed.ray_encoders import encoders_on
from qttrag.indexes.collection import open_index
from qttrag.indexes.jobs.build import build
from qttrag.indexes.jobs.index_job import Progress
from qttrag.indexes.recipe import load
from tests.distributed.workers import kill, worker_processes

app = typer.Typer(pretty_exceptions_enable=False, no_args_is_help=True)
LANGS = ("en", "ko", "fi", "zh")
NAME = "copies"


def write_recipe(folder: Path, times: int, shard_rows: int) -> Path:
    """Write the demo corpus `times` times, with other ids each time, and its recipe."""
    with (folder / f"{NAME}.jsonl").open("w", encoding="utf-8") as file:
        for copy in range(times):
            for lang in LANGS:
                for line in Path(f"demo/data/{lang}.jsonl").read_text(encoding="utf-8").splitlines():
                    record = json.loads(line)
                    record |= {"id": f"{copy}-{lang}-{record['id']}", "lang": lang}
                    file.write(json.dumps(record, ensure_ascii=False) + "\n")
    encoder = {"model": str(Path("demo/models/encoder").resolve()), "max_tokens": 192, "device": "cpu"}
    recipe = {"source": {"kind": "jsonl", "path": f"./{NAME}.jsonl"}, "encoder": encoder, "faiss": "Flat"}
    path = folder / f"{NAME}.yaml"
    path.write_text(json.dumps({**recipe, "shard_rows": shard_rows}))
    return path


def folder_of(home: Path) -> Path:
    return home / "indexes" / "built" / NAME


def sums(home: Path) -> dict[str, str]:
    files = (path for path in folder_of(home).iterdir() if path.name != "manifest.json")
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@contextmanager
def three_nodes() -> Iterator[Any]:
    os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_worker_niceness": "0"}  # workers are as nice as the command
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    for _ in range(2):
        cluster.add_node(num_cpus=1)
    os.environ["RAY_ADDRESS"] = cluster.address
    try:
        yield cluster
    finally:
        cluster.shutdown()


def built(home: Path, recipe: Path, workers: int) -> tuple[float, int]:
    """Build with so many workers, 0 for this process; return the seconds of encoding, and the passages."""
    os.environ["QTTRAG_HOME"] = str(home)
    marks: list[float] = []

    def mark(progress: Progress) -> None:
        if progress.step == "encode":
            marks.append(time.perf_counter())

    with encoders_on("ray", workers=workers) if workers else nullcontext(open_encoder) as opened:
        manifest = build(load(recipe), open_encoder=opened, progress=mark)
    return marks[-1] - marks[0], manifest.rows


@app.command()
def speed(times: int = 50, rounds: int = 1) -> None:
    """Compare one process with 1 and 2 workers."""
    with tempfile.TemporaryDirectory() as folder, three_nodes():
        recipe = write_recipe(Path(folder), times, shard_rows=20_000)
        print(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores", flush=True)
        alone: list[float] = []
        for number in range(rounds):
            for workers in (0, 1, 2):
                home = Path(folder, f"home-{number}-{workers}")
                seconds, rows = built(home, recipe, workers)
                alone.append(rows / seconds) if not workers else None
                equal = sums(home) == sums(Path(folder, f"home-{number}-0"))
                name = f"{workers} workers" if workers else "one process"
                rate = rows / seconds
                shown = f"{rows:,} passages, {rate:,.0f} a second, {rate / alone[-1]:.2f} times, equal files: {equal}"
                print(f"{name:<12} {shown}", flush=True)


@app.command()
def kills(kills: int = 20, times: int = 50, shard_rows: int = 4000, seed: int = 1, pause: float = 12.0) -> None:
    """Kill workers, nodes and the command at random moments of one build; compare it with an undisturbed one.

    `pause`: the most seconds between a kill and the next, or between the first worker and the first kill."""
    with tempfile.TemporaryDirectory() as name, three_nodes() as cluster:
        folder = Path(name)
        recipe = write_recipe(folder, times, shard_rows)
        print(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores", flush=True)
        seconds, rows = built(folder / "alone", recipe, 0)
        print(f"one process: {rows:,} passages encoded in {seconds:.0f} s", flush=True)
        os.environ["QTTRAG_HOME"] = str(folder / "killed")
        started = time.perf_counter()
        disturbed = DisturbedBuild(cluster, recipe, folder, random.Random(seed), pause)
        disturbed.run(kills)
        print(f"two workers, {dict(disturbed.kills)} killed: {time.perf_counter() - started:.0f} s in all")
        print(f"the command ended with an error: {disturbed.errors} times")
        print(f"shards begun again: {disturbed.begun_again}; finished shards written again: {disturbed.rewritten()}")
        _compare(folder / "killed", folder / "alone")


def _compare(home: Path, other: Path) -> None:
    ids, expected = (_ids(each) for each in (home, other))
    counted = Counter(ids)
    lost, doubled = set(expected) - counted.keys(), sum(n - 1 for n in counted.values())
    print(f"passages: {len(ids):,}, lost {len(lost)}, doubled {doubled}, in the same order: {ids == expected}")
    print(f"files equal to those of the undisturbed build: {sums(home) == sums(other)}")


def _ids(home: Path) -> list[str]:
    columns = open_index(str(folder_of(home))).passages.ids()
    return [name for column in columns for name in column.to_pylist()]


class DisturbedBuild:
    """A build by the command, which is started again whenever it dies. `kills`: by what was killed.

    `errors`: how often the command gave up by itself; `begun_again`: shards that were in progress when it died."""

    def __init__(self, cluster: Any, recipe: Path, folder: Path, draw: random.Random, pause: float) -> None:
        self._cluster = cluster
        self._command = [sys.executable, "-m", "qttrag", "index", "build", str(recipe), "--on", "ray", "--workers", "2"]
        self._log = folder / "log"
        self._draw = draw
        self._pause = pause
        self._finished: dict[Path, int] = {}  # files of finished shards, and when they were written
        self.kills = Counter[str]()
        self.errors = self.begun_again = 0

    def run(self, kills: int) -> None:
        """Build, and kill as often as `kills` while shards are encoded."""
        targets = [("worker", "node", "worker", "command")[number % 4] for number in range(kills)]
        self._draw.shuffle(targets)
        running = self._start()
        while (code := running.poll()) != 0:
            if code is not None:
                self.errors += 1
                print(self._log.read_text()[-2000:], flush=True)
                running = self._start()
            _wait(running, until=worker_processes)
            _wait(running, seconds=self._draw.uniform(0, self._pause))
            if running.poll() is None and targets and worker_processes():
                self._kill(targets.pop(), running)

    def rewritten(self) -> int:
        """Return the number of files of finished shards that the command wrote again after it died."""
        index = folder_of(Path(os.environ["QTTRAG_HOME"]))
        return sum((index / path.name).stat().st_mtime_ns != time for path, time in self._finished.items())

    def _start(self) -> subprocess.Popen[bytes]:
        with self._log.open("wb") as log:
            return subprocess.Popen([*self._command, "--json"], stdout=subprocess.DEVNULL, stderr=log)

    def _kill(self, target: str, command: subprocess.Popen[bytes]) -> None:
        self.kills[target] += 1
        if target == "worker":
            kill(self._draw.choice(worker_processes()))
        elif target == "node":
            nodes = sorted(self._cluster.worker_nodes, key=lambda node: node.node_id)
            self._cluster.remove_node(self._draw.choice(nodes), allow_graceful=False)
            self._add_node()
        else:
            command.kill()
            command.wait()
            self._note_shards()

    def _add_node(self) -> None:
        while True:
            try:
                self._cluster.add_node(num_cpus=1)
                return
            except Exception as error:  # Ray has no other class for a node that does not start within 30 seconds
                print(f"a node did not start: {error}", flush=True)

    def _note_shards(self) -> None:
        self.begun_again += 1
        workspace = folder_of(Path(os.environ["QTTRAG_HOME"])).with_name(f".{NAME}.building")
        progress = workspace / "progress.json"
        if not progress.exists():  # no shard is finished
            return
        journal = json.loads(progress.read_bytes())
        paths = [workspace / "index" / name for shard in journal["shards"] for name in shard["files"]]
        self._finished |= {path: path.stat().st_mtime_ns for path in paths if path not in self._finished}


def _wait(
    command: subprocess.Popen[bytes], *, until: Callable[[], object] = lambda: False, seconds: float = 600.0
) -> None:
    """Return when the command has ended or the condition holds, at the latest after so many seconds."""
    end = time.perf_counter() + seconds
    while command.poll() is None and not until() and time.perf_counter() < end:
        time.sleep(0.05)


if __name__ == "__main__":
    app()
