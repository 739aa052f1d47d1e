"""Builds of the demo corpus on a Ray cluster of three nodes on this machine.

`python -m benchmarks.ray_builds speed --times 50`: one process against 1 and 2 workers; equal rows.
`python -m benchmarks.ray_builds kills --kills 20`: workers, nodes and the command are killed at random moments.
It needs Ray (`make test-ray` makes an environment) and `demo/data` (`make demo`)."""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
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
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
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
def kills(kills: int = 20, times: int = 50, seed: int = 1) -> None:
    """Kill workers, nodes and the command at random moments of one build; compare with an undisturbed one."""
    draw = random.Random(seed)
    with tempfile.TemporaryDirectory() as folder, three_nodes() as cluster:
        recipe = write_recipe(Path(folder), times, shard_rows=4000)
        built(Path(folder, "alone"), recipe, 0)
        home = Path(folder, "killed")
        os.environ["QTTRAG_HOME"] = str(home)
        done, redone = _killed(cluster, recipe, home, kills, draw)
        ids = Counter(name for column in open_index(str(folder_of(home))).passages.ids() for name in column.to_pylist())
        print(f"kills: {dict(done)}; shards begun again: {redone}")
        print(f"passages: {ids.total():,}, doubled {sum(n - 1 for n in ids.values())}")
        print(f"files equal to an undisturbed build: {sums(home) == sums(Path(folder, 'alone'))}")


def _killed(cluster: Any, recipe: Path, home: Path, kills: int, draw: random.Random) -> tuple[Counter[str], int]:
    """Build by the command, killing as often as `kills`; return what was killed, and the shards that began again."""
    command = [sys.executable, "-m", "qttrag", "index", "build", str(recipe), "--on", "ray", "--workers", "2", "--json"]
    done, redone = Counter[str](), 0
    running = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    spare = [cluster.add_node(num_cpus=1)]
    while running.poll() is None:
        time.sleep(draw.uniform(0.5, 2))
        if done.total() >= kills or not worker_processes():
            continue
        what = draw.choice(["worker", "worker", "node", "command"])
        done[what] += 1
        if what == "worker":
            kill(draw.choice(worker_processes()))
        elif what == "node":
            cluster.remove_node(spare.pop(), allow_graceful=False)
            spare.append(cluster.add_node(num_cpus=1))
        else:
            running.send_signal(signal.SIGKILL)
            running.wait()
            redone += 1  # the one in progress, at most
            running = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    return done, redone


if __name__ == "__main__":
    app()
