"""Compare vector stores in this process with a built index in a folder: `python -m benchmarks.stores 100k`.

The vectors are those of `benchmarks.clusters`; with `--index NAME` the passages of a built index are exported instead.
Every question is searched in each store in turn, so that other work disturbs all alike. Recall is against an exact
search. milvus-lite writes to the disk; Qdrant's local mode is in memory, since on the disk it takes 14 ms a passage."""

from __future__ import annotations

import os
import shutil
import statistics
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from tempfile import mkdtemp
from typing import NamedTuple

import numpy as np
import typer

from benchmarks.clusters import Clusters, Floats
from qttrag.cli.output import console, table
from qttrag.indexes.collection import Collection
from qttrag.protocols import VectorStore

K = 50
_DIM = 1024
_TUNED_ON, _RECALL = 100, 0.98


class Measured(NamedTuple):
    """Of one store: seconds of writing, mean recall@50, milliseconds of each question, their ratios to the folder's."""

    written: float
    recall: float
    ms: list[float]
    ratios: list[float]


def main(
    size: str = typer.Argument("100k", help="Number of synthetic vectors: 20k, 100k."),
    index: list[str] = typer.Option([], help="Built indexes to export instead of synthetic vectors."),  # noqa: B008
    questions: int = typer.Option(100, help="Questions searched."),
    stores: str = typer.Option("milvus,qdrant", help="Kinds compared with the folder."),
    milvus: str = typer.Option("", help="Further settings, e.g. index=FLAT."),
    tuned: bool = typer.Option(False, "--tune", help="First choose the effort, as qttrag index tune --store does."),
) -> None:
    """Export an index into each store, and print recall and latency beside those of its folder."""
    load = os.getloadavg()[0]
    home = Path(mkdtemp(prefix="stores-"))
    try:
        for name in index or [_synthetic(home, int(size.removesuffix("k")) * 1000)]:
            rows = [
                _row(kind, each)
                for kind, each in _measure(name, home, questions, stores.split(","), milvus, tuned=tuned).items()
            ]
            columns = ("", "written in", f"recall@{K}", "p50 of a question", "p95", "times the folder's")
            console().print(table(*columns, rows=rows))
            console().print(
                f"{name}: {questions} questions, each alone; load average {load:.1f} before, {os.cpu_count()} cores"
            )
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _row(kind: str, measured: Measured) -> list[str]:
    p50, p95 = np.percentile(measured.ms, [50, 95])
    ratio = statistics.median(measured.ratios)
    return [
        kind,
        f"{measured.written:,.0f} s",
        f"{measured.recall:.4f}",
        f"{p50:.1f} ms",
        f"{p95:.1f} ms",
        f"{ratio:.2f}",
    ]


def _synthetic(home: Path, rows: int) -> str:
    """Build an index of synthetic vectors; return the path of its folder."""
    from qttrag.indexes.jobs.index_job import IndexJob
    from qttrag.indexes.jobs.precomputed import EncodedPassages, build_from_vectors
    from qttrag.indexes.recipe import EncoderSettings, Recipe, Source
    from qttrag.indexes.sources.records import ReadSummary, SourcePosition
    from qttrag.types import EncoderInfo, Lang, Passage

    os.environ["QTTRAG_HOME"] = str(home)
    clusters = Clusters(rows, _DIM)

    def read(job: IndexJob) -> Iterator[EncodedPassages]:
        done = 0
        for block in clusters:
            numbers = range(done, done + len(block))
            passages = [Passage(f"p{n}", f"Passage {n}. " * 20, Lang("en")) for n in numbers]
            done += len(block)
            summary = ReadSummary(list(numbers), Counter(), Counter())
            yield EncodedPassages(passages, block, summary, SourcePosition(0, done), done / rows)

    recipe = Recipe(
        name="synthetic", source=Source(kind="jsonl", path="none"), encoder=EncoderSettings(model="none"), faiss="auto"
    )
    build_from_vectors(recipe, EncoderInfo("none", "none", _DIM, 256), {}, read)
    return str(home / "indexes" / "built" / "synthetic")


def _measure(
    name: str, home: Path, questions: int, kinds: list[str], milvus: str, *, tuned: bool
) -> dict[str, Measured]:
    from qttrag.application.store_addresses import store_at
    from qttrag.indexes.collection import find, open_index
    from qttrag.indexes.jobs.tune import sample_passages
    from qttrag.stores.export import export
    from qttrag.stores.faiss_folder import FaissFolder

    addresses = {"milvus": f"milvus:{home / 'milvus.db'}?timeout=600&{milvus}", "qdrant": "qdrant::memory:"}
    opened = {"faiss_folder": (FaissFolder(name, threads=1), 0.0)}
    written: dict[str, tuple[VectorStore, float]] = dict(opened)
    for kind in kinds:
        store = store_at(addresses[kind].rstrip("&"), find(name).manifest.name)
        start = time.perf_counter()
        export(name, store)
        written[kind] = (store, time.perf_counter() - start)
    collection = open_index(name, threads=1)
    if tuned:
        _tune(list(written.values()), collection)
    vectors = sample_passages(collection, questions, seed=1).vectors
    exact = _exact_ids(name, vectors)
    return _searched(written, vectors, exact)


def _tune(written: list[tuple[VectorStore, float]], collection: Collection) -> None:
    """Choose the effort of stores that are not searched exactly, as `qttrag index tune --store` does."""
    from qttrag.indexes.jobs.tune import sample_passages
    from qttrag.stores.recall import measure
    from qttrag.stores.versioned import VersionedCollection

    for store, _ in written:
        if isinstance(store, VersionedCollection) and store.database.efforts(store.manifest.index):
            tuned, _ = measure(store, collection, sample_passages(collection, _TUNED_ON), target=_RECALL, k=K)
            console().print(f"{store.database.kind}: {tuned.effort} nodes or lists, recall {tuned.recall:.4f}")


def _exact_ids(name: str, vectors: Floats) -> list[set[str]]:
    """Return the ids of the exact best passages of each question, those that tie with the last included."""
    from qttrag.indexes.ann.exact import ROUNDING, scan
    from qttrag.indexes.collection import open_index

    collection = open_index(name, threads=1)
    k = min(K, len(collection.passages))
    best = scan(collection.vectors, vectors, 2 * k)
    return [
        {collection.passages[row].passage_id for row in rows[scores >= scores[k - 1] - ROUNDING].tolist()}
        for rows, scores in best
    ]


def _searched(
    written: dict[str, tuple[VectorStore, float]], vectors: Floats, exact: list[set[str]]
) -> dict[str, Measured]:
    ms: dict[str, list[float]] = {kind: [] for kind in written}
    recalls: dict[str, list[float]] = {kind: [] for kind in written}
    for vector, best in zip(vectors, exact, strict=True):
        for kind, (store, _) in written.items():
            start = time.perf_counter()
            (hits,) = store.search(vector[None], K, "all")
            ms[kind].append((time.perf_counter() - start) * 1000)
            recalls[kind].append(len(best.intersection(hit.passage.passage_id for hit in hits)) / len(hits))
    folder = ms["faiss_folder"]
    return {
        kind: Measured(
            seconds, statistics.fmean(recalls[kind]), ms[kind], [a / b for a, b in zip(ms[kind], folder, strict=True)]
        )
        for kind, (_, seconds) in written.items()
    }


if __name__ == "__main__":
    typer.run(main)
