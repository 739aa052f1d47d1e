"""Compare indexes of Wikipedia's size with an exact scan, on synthetic vectors: `python -m benchmarks.index 1M`.

The vectors are those of `benchmarks.clusters`. Each step has a process of its own, so that its memory is measured:
build, exact search, tuning, search, and the scan of float16 vectors in torch that the research code does."""

from __future__ import annotations

import os
import shutil
import statistics
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import typer
from numpy.typing import NDArray

from benchmarks import exact_results, separate_process, sparse
from benchmarks.clusters import Clusters, Floats
from benchmarks.exact_results import ExactResults
from qttrag.cli.output import console, table

K = 50
_DIM = 1024
_SCANNED = 500_000  # vectors in memory on which the scan in torch is measured; its time is extrapolated
_NAME = "benchmark"


def main(
    sizes: list[str] = typer.Argument(help="Numbers of vectors: 100k, 1M, 10M, 39M."),  # noqa: B008
    folder: Path = typer.Option(Path("indexes/built"), help="Where the index is built; removed afterwards."),  # noqa: B008
    faiss: str = typer.Option("auto", help="FAISS factory string."),
    questions: int = typer.Option(1000, help="Questions searched."),
    tuned_on: int = typer.Option(300, help="Passages of the index on which it is tuned."),
    recall: float = typer.Option(0.98, help="Target recall of tuning."),
    threads: int = typer.Option(0, help="Threads; 0: all cores."),
    is_sparse: bool = typer.Option(False, "--sparse", help="Write only vectors that are read, if the disk is small."),
) -> None:
    """Build, tune and search an index of each size, and print times and sizes next to those of an exact scan."""
    if threads:
        os.environ["OMP_NUM_THREADS"] = str(threads)
    for size in sizes:
        rows = _number(size)
        home = folder / f"benchmark-{size}"
        os.environ["QTTRAG_HOME"] = str(home)
        try:
            results = _measure(
                home, rows, faiss, questions, tuned_on, recall, threads or os.cpu_count() or 1, is_sparse
            )
        finally:
            shutil.rmtree(home, ignore_errors=True)
        console().print(table(f"{rows:,} vectors of {_DIM} dimensions", "", rows=[[k, v] for k, v in results.items()]))
        sys.stdout.flush()


def _number(size: str) -> int:
    units = {"k": 1_000, "M": 1_000_000}
    return int(float(size[:-1]) * units[size[-1]]) if size[-1] in units else int(size)


def _measure(
    home: Path, rows: int, faiss: str, questions: int, tuned_on: int, recall: float, threads: int, is_sparse: bool
) -> dict[str, str]:
    home.mkdir(parents=True)
    if is_sparse:
        built = separate_process.run(sparse.build, home, rows, _DIM, faiss, questions, tuned_on, K)
    else:
        built = separate_process.run(_build, rows, faiss)
        cosines = separate_process.run(_exact, home, rows, questions)
        built |= {name: cosines[name] for name in ("best", "fiftieth")}
    tuned = separate_process.run(_tune, home, tuned_on, recall, is_sparse)
    _drop_from_page_cache(home)
    searched = separate_process.run(_search, home, rows, questions, threads)
    scan = separate_process.run(_scan, min(rows, _SCANNED), rows)
    alone, repeated = (scan["one"] * 1000 / searched[name] for name in ("p50", "repeated"))
    together = scan["batch"] * searched["batched"]
    measured_on = "measured" if rows <= _SCANNED else f"{_SCANNED:,} measured, times {rows / _SCANNED:g}"
    return {
        "threads, load average at the start": f"{threads}, {built['load']:.1f}",
        "index": built["factory"],
        **built["steps"],
        "memory while building": f"{built['most'] / 1e9:.2f} GB at most, without mapped files",
        "size on disk": built["disk"],
        "median cosine, best and fiftieth": f"{built['best']:.3f} {built['fiftieth']:.3f}",
        "tuned to": tuned["plan"],
        "tuning": f"{tuned['seconds']:,.0f} s, {tuned['trials']} plans tried, recall {tuned['recall']:.4f}",
        "from opening to the first answer, nothing cached": f"{searched['first']:.2f} s, "
        f"opening alone {searched['opened']:.2f} s",
        f"one question, the first {searched['cold']} of {questions:,}": f"p50 {searched['first50']:.1f} ms, p99 "
        f"{searched['first99']:.1f} ms (lists and candidates are read from the disk)",
        "one question, the others": f"p50 {searched['p50']:.1f} ms, p99 {searched['p99']:.1f} ms (the index is in "
        "memory, candidates are read from the disk)",
        "repeated": f"p50 {searched['repeated']:.1f} ms, p99 {searched['repeated99']:.1f} ms (all is in memory)",
        "in batches of 64": f"{searched['batched']:,.0f} questions a second (repeated)",
        f"recall@{K} of {questions:,} questions": f"{searched['recall']:.4f}",
        "memory while searching": f"{searched['anonymous'] / 1e9:.2f} GB, and {searched['mapped'] / 1e9:.2f} GB of "
        "mapped files, which the system may drop",
        "scan in torch, float16": f"one question {scan['one'] * 1000:,.0f} ms, in batches of 64 "
        f"{1 / scan['batch']:,.1f} a second ({measured_on}; {scan['way']})",
        "times faster than the scan": f"one question {alone:,.0f}, repeated {repeated:,.0f}, batches {together:,.0f}",
    }


def _build(rows: int, faiss: str) -> dict[str, Any]:
    from qttrag.indexes.collection import find
    from qttrag.indexes.jobs.index_job import IndexJob, Progress
    from qttrag.indexes.jobs.precomputed import EncodedPassages, build_from_vectors
    from qttrag.indexes.recipe import EncoderSettings, Recipe, Source
    from qttrag.indexes.sources.records import ReadSummary, SourcePosition
    from qttrag.types import EncoderInfo, Lang, Passage

    clusters, generating = Clusters(rows, _DIM), 0.0
    begun: dict[str, float] = {}

    def read(job: IndexJob) -> Iterator[EncodedPassages]:
        nonlocal generating
        done = 0
        for number in range(clusters.blocks):
            start = time.perf_counter()
            block = clusters.block(number)
            generating += time.perf_counter() - start
            numbers = range(done, done + len(block))
            passages = [Passage(f"p{n}", f"Passage {n}.", Lang("en")) for n in numbers]
            done += len(block)
            summary = ReadSummary(list(numbers), Counter(), Counter())
            yield EncodedPassages(passages, block, summary, SourcePosition(0, done), done / rows)

    def progress(now: Progress) -> None:
        begun.setdefault(now.step, time.perf_counter())

    recipe = Recipe(
        name=_NAME,
        source=Source(kind="jsonl", path="none"),
        encoder=EncoderSettings(model="none"),
        faiss=faiss,
        shard_rows=100_000,
    )
    start = time.perf_counter()
    manifest = build_from_vectors(recipe, EncoderInfo("none", "none", _DIM, 256), {}, read, progress=progress)
    end = time.perf_counter()
    begun = {"train": begun["add"], **begun}
    written = begun["train"] - start - generating
    folder = find(_NAME).folder
    sizes = {name: sum(path.stat().st_size for path in folder.glob(name)) for name in ("vectors-*", "faiss.index")}
    added = end - begun["add"]
    return {
        "factory": manifest.faiss,
        "disk": f"{sizes['vectors-*'] / 1e9:.2f} GB of vectors, {sizes['faiss.index'] / 1e9:.2f} GB of index "
        f"({sizes['faiss.index'] / rows:.0f} bytes a vector)",
        "steps": {
            "writing shards": f"{written:,.0f} s ({rows / written:,.0f} vectors a second, without generating them)",
            "training": f"{begun['add'] - begun['train']:,.0f} s",
            "adding": f"{added:,.0f} s ({rows / added:,.0f} vectors a second)",
        },
    }


def _exact(home: Path, rows: int, questions: int) -> dict[str, Any]:
    from qttrag.indexes.ann import exact
    from qttrag.indexes.collection import find
    from qttrag.indexes.storage.vectors import Vectors

    queries = Clusters(rows, _DIM).questions(questions)
    best = exact.scan(Vectors(find(_NAME).folder), queries, K)
    return {**exact_results.save(home, ExactResults(queries, np.stack([result.scores for result in best])))}


def _tune(home: Path, tuned_on: int, recall: float, is_sparse: bool) -> dict[str, Any]:
    from qttrag.indexes import collection as search
    from qttrag.indexes.jobs import tune

    collection = search.open_index(_NAME, threads=1)
    if is_sparse:
        tuned, trials = sparse.tune(home, collection, recall, K)
    else:
        sample = tune.sample_passages(collection, tuned_on)
        tuned, trials = tune.tune(collection, sample, target=recall, k=K)
    tune.save(search.find(_NAME).folder, collection.manifest, tuned)
    plan = f"{tuned.nprobe} lists, {tuned.ef_search or 'no'} nodes, {tuned.depth} candidates"
    return {"plan": plan, "recall": tuned.recall, "trials": len(trials), "tried": trials}


def _drop_from_page_cache(home: Path) -> None:
    """Have the system drop the files of the index from memory."""
    os.sync()
    for path in home.rglob("*"):
        if path.is_file():
            descriptor = os.open(path, os.O_RDONLY)
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(descriptor)


def _search(home: Path, rows: int, questions: int, threads: int) -> dict[str, Any]:
    from qttrag.indexes import collection as search

    queries, exact_scores = exact_results.load(home)
    start = time.perf_counter()
    collection = search.open_index(_NAME, threads=threads)
    opened = time.perf_counter() - start
    collection.search(queries[:1], K)
    first = time.perf_counter() - start
    cold = questions // 5
    cold_ms = [_timed(collection.search, queries[n : n + 1], K) * 1000 for n in range(1, cold)]
    search.read_ahead(_NAME)
    alone = [_timed(collection.search, queries[n : n + 1], K) * 1000 for n in range(cold, questions)]
    repeated = [_timed(collection.search, queries[n : n + 1], K) * 1000 for n in range(questions)]
    start = time.perf_counter()
    hits = [result for n in range(0, questions, 64) for result in collection.search(queries[n : n + 64], K)]
    batched = questions / (time.perf_counter() - start)
    return {
        "opened": opened,
        "first": first,
        "cold": cold,
        "first50": float(np.percentile(cold_ms, 50)),
        "first99": float(np.percentile(cold_ms, 99)),
        "p50": float(np.percentile(alone, 50)),
        "p99": float(np.percentile(alone, 99)),
        "repeated": float(np.percentile(repeated, 50)),
        "repeated99": float(np.percentile(repeated, 99)),
        "batched": batched,
        "recall": _recall([np.array([hit.score for hit in result]) for result in hits], exact_scores),
    }


def _recall(results: list[NDArray[np.float64]], exact_scores: Floats) -> float:
    """Return the mean share of hits whose score is among the exact best."""
    from qttrag.indexes.ann.exact import ROUNDING

    shares = [
        float((scores >= best[-1] - ROUNDING).sum()) / K for scores, best in zip(results, exact_scores, strict=True)
    ]
    return statistics.fmean(shares)


def _timed(call: Callable[..., object], *arguments: object) -> float:
    start = time.perf_counter()
    call(*arguments)
    return time.perf_counter() - start


def _scan(measured: int, rows: int) -> dict[str, Any]:
    """Time `topk(questions @ vectors.T)` over chunks in memory as float16, with the faster of two precisions."""
    import torch

    clusters = Clusters(measured, _DIM)
    chunks = [torch.from_numpy(block).half() for block in clusters]
    questions = torch.from_numpy(clusters.questions(64))

    def scan(queries: torch.Tensor, way: str) -> None:
        best_scores = []
        for chunk in chunks:
            scores = queries @ chunk.float().T if way == "float32" else (queries.half() @ chunk.T).float()
            best_scores.append(torch.topk(scores, min(K, len(chunk)), dim=1).values)
        torch.topk(torch.cat(best_scores, dim=1), min(K, measured), dim=1)

    best: dict[str, Any] = {}
    for name, queries, share in (("one", questions[:1], 1), ("batch", questions, 64)):
        ways = {}
        for way in ("float16", "float32"):
            scan(queries, way)
            ways[way] = statistics.median(_timed(scan, queries, way) for _ in range(3))
        way = min(ways, key=lambda name: ways[name])
        best |= {name: ways[way] / share * rows / measured, f"{name} way": way}
    return {**best, "way": f"multiplied as {best['one way']} and {best['batch way']}, whichever is faster"}


if __name__ == "__main__":
    app = typer.Typer(pretty_exceptions_enable=False)
    app.command()(main)
    app()
