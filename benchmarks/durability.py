"""Measures the loss when builds are killed or indexes are damaged: `python -m benchmarks.durability kills|damage`."""

from __future__ import annotations

import hashlib
import os
import random
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import typer
import yaml

from qttrag.application.factory import open_encoder
from qttrag.cli.output import console, table
from qttrag.errors import CollectionError
from qttrag.indexes.collection import open_index, verify
from qttrag.indexes.jobs.build import build
from qttrag.indexes.jobs.remove import remove
from qttrag.indexes.recipe import load
from qttrag.models.loading import quiet
from tests import deployment, tiny_models
from tests.indexes import processes

app = typer.Typer(pretty_exceptions_enable=False, no_args_is_help=True)
BUILT = Path("indexes") / "built" / "mixed"
Answers = list[list[tuple[str, str, float]]]


def answers(folder: Path, queries: np.ndarray[Any, np.dtype[np.float32]]) -> Answers:
    """Return the ids, texts and scores of the ten best passages of each query."""
    results = open_index(str(folder), threads=1).search(queries, 10)
    return [[(hit.passage.passage_id, hit.passage.text, hit.score) for hit in hits] for hits in results]


def near(folder: Path, n: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Return unit vectors near those of random passages."""
    draw, vectors = np.random.default_rng(3), open_index(str(folder)).vectors
    queries = vectors.take(draw.integers(0, len(vectors), n))
    queries += draw.normal(0, 0.3 / queries.shape[1] ** 0.5, queries.shape).astype(np.float32)
    unit: np.ndarray[Any, np.dtype[np.float32]] = queries / np.linalg.norm(queries, axis=1, keepdims=True)
    return unit


def write_recipe(folder: Path, passages: int, shard_rows: int) -> Path:
    tiny_models.make_encoder(folder / "encoder")
    path = deployment.write_recipe(folder, folder, n=passages)
    settings = {**yaml.safe_load(path.read_text()), "shard_rows": shard_rows, "faiss": "IVF16,SQ8"}
    path.write_text(yaml.safe_dump(settings))
    return path


def passage_ids(folder: Path) -> Counter[str]:
    return Counter(name for column in open_index(str(folder)).passages.ids() for name in column.to_pylist())


def sums(folder: Path) -> dict[str, str]:
    files = (path for path in folder.iterdir() if path.name != "manifest.json")
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


class KilledBuild(NamedTuple):
    """A build that was killed `kills` times, compared with one that was not. `repeated`: passages encoded twice."""

    kills: int
    repeated: int
    lost: int
    duplicated: int
    different_answers: int
    different_files: int


class Reference(NamedTuple):
    """An index whose build was not killed, and its answers to queries."""

    folder: Path
    queries: np.ndarray[Any, np.dtype[np.float32]]
    answers: Answers


def killed_build(
    home: Path, path: Path, reference: Reference, draw: random.Random, seconds: float, max_kills: int
) -> KilledBuild:
    """Build, killed at random moments until finished or killed `max_kills` times, and compare with the reference."""
    home.mkdir()
    kills = 0
    while kills < max_kills and not (home / BUILT / "manifest.json").exists():
        before = processes.batches(home)
        process = processes.start(home, path)
        if draw.random() < 0.8:  # otherwise it may be killed while it starts
            while process.exitcode is None and processes.batches(home) == before:
                time.sleep(0.005)
        process.join(draw.uniform(0.0, seconds))
        kills += process.exitcode is None
        process.kill()
        process.join()
    message = processes.finish(home, path)
    assert message == "" or "already exists" in message, message
    killed, expected, actual = home / BUILT, passage_ids(reference.folder), passage_ids(home / BUILT)
    assert verify(str(killed)) == []
    pairs = zip(reference.answers, answers(killed, reference.queries), strict=True)
    mine, theirs = sums(killed), sums(reference.folder)
    return KilledBuild(
        kills,
        processes.encoded(home) - actual.total(),
        (expected - actual).total(),
        (actual - expected).total(),
        sum(one != other for one, other in pairs),
        sum(mine.get(name) != theirs.get(name) for name in mine.keys() | theirs.keys()),
    )


@app.command()
def kills(
    n: int = typer.Option(20, help="The number of kills."),
    passages: int = typer.Option(3000, help="Passages of the index."),
    shard_rows: int = typer.Option(100, help="Passages of a shard."),
    seed: int = typer.Option(4, help="The seed for the moments."),
) -> None:
    """Kill builds (SIGKILL) at random moments, resume them, and compare each finished index with one that was not
    killed: its passages, its files, and its answers to 1,000 queries."""
    with tempfile.TemporaryDirectory() as name:
        quiet()
        folder, draw, builds = Path(name), random.Random(seed), list[KilledBuild]()
        path = write_recipe(folder, passages, shard_rows)
        for home in (folder / "first", folder / "reference"):  # the first one also starts the fork server
            home.mkdir()
            start = time.monotonic()
            assert processes.finish(home, path) == ""
            seconds = time.monotonic() - start
        queries = near(home / BUILT, 1000)
        reference = Reference(home / BUILT, queries, answers(home / BUILT, queries))
        while (left := n - sum(build.kills for build in builds)) > 0:
            home = folder / f"killed-{len(builds)}"
            builds.append(killed_build(home, path, reference, draw, seconds / 6, left))
    totals = KilledBuild(*map(sum, zip(*builds, strict=True)))
    per_kill = totals.repeated / max(1, totals.kills)
    rows = [
        ["kills, builds", f"{totals.kills}, {len(builds)}, which take {seconds:.1f} s without kills"],
        ["passages per index, per shard", f"{passages:,}, {shard_rows:,}"],
        ["passages lost, duplicated", f"{totals.lost}, {totals.duplicated}"],
        ["queries with different answers", f"{totals.different_answers} of {1000 * len(builds):,}"],
        ["different files, without the manifest", f"{totals.different_files}"],
        ["passages encoded again", f"{totals.repeated:,}, {per_kill:.1f} per kill ({100 * per_kill / shard_rows:.0f} % "
         "of a shard)"],
    ]  # fmt: skip
    console().print(table("", "", rows=rows))


class Damage(NamedTuple):
    """Damage to a file: truncated at offset `at` if `cut`, or else bit `bit` of that byte flipped. `silent`: with the
    file's time unchanged."""

    file: str
    at: int
    cut: bool
    bit: int
    silent: bool


@contextmanager
def damaged(folder: Path, damage: Damage) -> Iterator[None]:
    """Damage a file of an index, and restore it afterwards."""
    path = folder / damage.file
    content, stat = path.read_bytes(), path.stat()
    bad = bytearray(content)
    bad[damage.at] ^= 1 << damage.bit
    path.write_bytes(content[: damage.at] if damage.cut else bytes(bad))
    if damage.silent:
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    try:
        yield
    finally:
        path.write_bytes(content)
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


def outcome(folder: Path, file: str, queries: Any, expected: Answers) -> str:
    """Open and search an index; return what happened."""
    try:
        return "same answers" if answers(folder, queries) == expected else "DIFFERENT ANSWERS"
    except CollectionError as error:
        return "refused by name" if file in str(error) else "refused"


def _send(sent: Connection, *arguments: Any) -> None:
    sent.send(outcome(*arguments))


def outcome_apart(*arguments: Any) -> str:
    """Return `outcome` of another process, because a damaged index may crash it."""
    here, there = processes.FORKS.Pipe(duplex=False)
    process = processes.FORKS.Process(target=_send, args=(there, *arguments), daemon=True)
    process.start()
    there.close()
    process.join(60)
    process.kill()
    try:
        return str(here.recv())
    except EOFError:
        return "crashed"


def drawn(folder: Path, draw: random.Random, *, silent: bool) -> Damage:
    """Return random damage to a random file: one in four is truncated, the others have one bit flipped."""
    path = draw.choice(sorted(folder.iterdir()))
    return Damage(path.name, draw.randrange(path.stat().st_size), draw.random() < 0.25, draw.randrange(8), silent)


@app.command()
def damage(
    n: int = typer.Option(100, help="The number of files damaged by writing."),
    silently: int = typer.Option(100, help="The number of files damaged silently."),
    passages: int = typer.Option(300, help="Passages of the index."),
    seed: int = typer.Option(4, help="The seed for files and offsets."),
) -> None:
    """Flip a random bit of a random file of an index, or truncate the file, and open and search the index.

    "Written" damage changes the file's time, like any write; opening reads and compares such files. "Silent" damage
    keeps the time, like a bad disk: opening cannot detect all of it without reading every byte, which
    `qttrag index verify` does."""
    with tempfile.TemporaryDirectory() as name:
        quiet()
        folder, draw = Path(name), random.Random(seed)
        os.environ["QTTRAG_HOME"] = name
        build(load(write_recipe(folder, passages, 100)), open_encoder=open_encoder)
        remove("mixed", {"en-0", "ko-1"})
        queries = near(folder / BUILT, 50)
        expected, rows = answers(folder / BUILT, queries), []
        for silent, times in ((False, n), (True, silently)):
            outcomes, verified = Counter[str](), 0
            for _ in range(times):
                what = drawn(folder / BUILT, draw, silent=silent)
                with damaged(folder / BUILT, what):
                    result = (outcome_apart if silent else outcome)(folder / BUILT, what.file, queries, expected)
                    outcomes[result] += 1
                    verified += _verify(folder / BUILT, what.file)
            words = ", ".join(f"{name} {count}" for name, count in outcomes.most_common())
            rows.append(["silent" if silent else "written", str(times), words, f"{verified} of {times}"])
        assert answers(folder / BUILT, queries) == expected
    console().print(table("damage", "times", "opening and 50 queries", "verify reports the file", rows=rows))


def _verify(folder: Path, file: str) -> bool:
    try:
        return any(file in problem for problem in verify(str(folder)))
    except CollectionError as error:
        return file in str(error)


if __name__ == "__main__":
    app()
