"""What is lost when a build is killed or an index is damaged: `python -m benchmarks.durability kills|damage`."""

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

from qttrag.cli.output import console, table
from qttrag.errors import CollectionError
from qttrag.indexes import collection as search
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
    found = search.open_index(str(folder), threads=1).search(queries, 10)
    return [[(hit.passage.passage_id, hit.passage.text, hit.score) for hit in hits] for hits in found]


def near(folder: Path, n: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Return unit vectors near those of random passages."""
    draw, vectors = np.random.default_rng(3), search.open_index(str(folder)).vectors
    found = vectors.take(draw.integers(0, len(vectors), n))
    found += draw.normal(0, 0.3 / found.shape[1] ** 0.5, found.shape).astype(np.float32)
    unit: np.ndarray[Any, np.dtype[np.float32]] = found / np.linalg.norm(found, axis=1, keepdims=True)
    return unit


def write_recipe(folder: Path, passages: int, shard_rows: int) -> Path:
    tiny_models.make_encoder(folder / "encoder")
    path = deployment.write_recipe(folder, folder, n=passages)
    settings = {**yaml.safe_load(path.read_text()), "shard_rows": shard_rows, "faiss": "IVF16,SQ8"}
    path.write_text(yaml.safe_dump(settings))
    return path


def passage_ids(folder: Path) -> Counter[str]:
    return Counter(name for column in search.open_index(str(folder)).passages.ids() for name in column.to_pylist())


def sums(folder: Path) -> dict[str, str]:
    files = (path for path in folder.iterdir() if path.name != "manifest.json")
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


class Broken(NamedTuple):
    """A build that was killed so many times. `redone`: passages encoded more than once."""

    kills: int
    redone: int
    lost: int
    doubled: int
    other_answers: int
    other_files: int


class Whole(NamedTuple):
    """An index whose build was not killed, and its answers to queries."""

    folder: Path
    queries: np.ndarray[Any, np.dtype[np.float32]]
    answers: Answers


def broken_build(home: Path, path: Path, whole: Whole, draw: random.Random, seconds: float, most: int) -> Broken:
    """Build, killed at random moments until it is done or was killed `most` times, and compare with `whole`."""
    home.mkdir()
    kills = 0
    while kills < most and not (home / BUILT / "manifest.json").exists():
        before = processes.batches(home)
        process = processes.start(home, path)
        if draw.random() < 0.8:  # else it is killed as likely while it starts
            while process.exitcode is None and processes.batches(home) == before:
                time.sleep(0.005)
        process.join(draw.uniform(0.0, seconds))
        kills += process.exitcode is None
        process.kill()
        process.join()
    said = processes.finish(home, path)
    assert said == "" or "already exists" in said, said
    broken, expected, found = home / BUILT, passage_ids(whole.folder), passage_ids(home / BUILT)
    assert search.verify(str(broken)) == []
    pairs = zip(whole.answers, answers(broken, whole.queries), strict=True)
    mine, theirs = sums(broken), sums(whole.folder)
    return Broken(
        kills,
        processes.encoded(home) - found.total(),
        (expected - found).total(),
        (found - expected).total(),
        sum(one != other for one, other in pairs),
        sum(mine.get(name) != theirs.get(name) for name in mine.keys() | theirs.keys()),
    )


@app.command()
def kills(
    n: int = typer.Option(20, help="How many times builds are killed."),
    passages: int = typer.Option(3000, help="Passages of the index."),
    shard_rows: int = typer.Option(100, help="Passages of a shard."),
    seed: int = typer.Option(4, help="Of the moments."),
) -> None:
    """Kill builds (SIGKILL) at random moments, go on, and compare each finished index with one that was not killed:
    its passages, its files, and its answers to 1,000 queries."""
    with tempfile.TemporaryDirectory() as name:
        quiet()
        folder, draw, builds = Path(name), random.Random(seed), list[Broken]()
        path = write_recipe(folder, passages, shard_rows)
        for home in (folder / "first", folder / "whole"):  # the first starts what all are forked from
            home.mkdir()
            start = time.monotonic()
            assert processes.finish(home, path) == ""
            seconds = time.monotonic() - start
        queries = near(home / BUILT, 1000)
        whole = Whole(home / BUILT, queries, answers(home / BUILT, queries))
        while (left := n - sum(build.kills for build in builds)) > 0:
            home = folder / f"broken-{len(builds)}"
            builds.append(broken_build(home, path, whole, draw, seconds / 6, left))
    totals = Broken(*map(sum, zip(*builds, strict=True)))
    per_kill = totals.redone / max(1, totals.kills)
    rows = [
        ["kills, builds", f"{totals.kills}, {len(builds)} of {seconds:.1f} s unbroken"],
        ["passages of an index, of a shard", f"{passages:,}, {shard_rows:,}"],
        ["passages lost, doubled", f"{totals.lost}, {totals.doubled}"],
        ["queries answered otherwise", f"{totals.other_answers} of {1000 * len(builds):,}"],
        ["files that differ, but for the manifest", f"{totals.other_files}"],
        ["passages encoded again", f"{totals.redone:,}, {per_kill:.1f} a kill ({100 * per_kill / shard_rows:.0f} % "
         "of a shard)"],
    ]  # fmt: skip
    console().print(table("", "", rows=rows))


class Damage(NamedTuple):
    """What is done to a file: `cut` at `at`, or the bit `bit` of the byte there turned. `silent`: its time is kept."""

    file: str
    at: int
    cut: bool
    bit: int
    silent: bool


@contextmanager
def damaged(folder: Path, damage: Damage) -> Iterator[None]:
    """Damage a file of an index, and mend it again."""
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
    """Open and search an index."""
    try:
        return "same answers" if answers(folder, queries) == expected else "OTHER ANSWERS"
    except CollectionError as error:
        return "refused by name" if file in str(error) else "refused"


def _send(sent: Connection, *arguments: Any) -> None:
    sent.send(outcome(*arguments))


def outcome_apart(*arguments: Any) -> str:
    """Return the same, found out in a process of its own, which a damaged index may crash."""
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
    """Return damage to a random file; one in four is cut short, the others have one bit turned."""
    path = draw.choice(sorted(folder.iterdir()))
    return Damage(path.name, draw.randrange(path.stat().st_size), draw.random() < 0.25, draw.randrange(8), silent)


@app.command()
def damage(
    n: int = typer.Option(100, help="How many times a file is damaged as a program writes."),
    silently: int = typer.Option(100, help="How many times it is damaged as a bad disk does."),
    passages: int = typer.Option(300, help="Passages of the index."),
    seed: int = typer.Option(4, help="Of files and places."),
) -> None:
    """Turn a random bit of a random file of an index, or cut the file short there, and open and search the index.

    "Written" damage is done as any program writes, which moves the file's time; opening reads such files whole.
    "Silent" damage keeps the time, as a bad disk does: opening cannot see all of that without reading every byte,
    which is what `qttrag index verify` is for."""
    with tempfile.TemporaryDirectory() as name:
        quiet()
        folder, draw = Path(name), random.Random(seed)
        os.environ["QTTRAG_HOME"] = name
        build(load(write_recipe(folder, passages, 100)))
        remove("mixed", {"en-0", "ko-1"})
        queries = near(folder / BUILT, 50)
        expected, rows = answers(folder / BUILT, queries), []
        for silent, times in ((False, n), (True, silently)):
            outcomes, verified = Counter[str](), 0
            for _ in range(times):
                what = drawn(folder / BUILT, draw, silent=silent)
                with damaged(folder / BUILT, what):
                    found = (outcome_apart if silent else outcome)(folder / BUILT, what.file, queries, expected)
                    outcomes[found] += 1
                    verified += _verify(folder / BUILT, what.file)
            words = ", ".join(f"{each} {count}" for each, count in outcomes.most_common())
            rows.append(["silent" if silent else "written", str(times), words, f"{verified} of {times}"])
        assert answers(folder / BUILT, queries) == expected
    console().print(table("damage", "times", "opening and 50 queries", "verify names the file", rows=rows))


def _verify(folder: Path, file: str) -> bool:
    try:
        return any(file in problem for problem in search.verify(str(folder)))
    except CollectionError as error:
        return file in str(error)


if __name__ == "__main__":
    app()
