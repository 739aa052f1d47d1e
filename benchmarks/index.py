"""Indexes of Wikipedia's size against an exact scan, on synthetic vectors: `python -m benchmarks.index 1M`.

The vectors are those of `benchmarks.clusters`. Every step is a process of its own, so that its memory is its own:
build, exact search, tuning, search, and the scan of float16 vectors in torch, which is what the research code does."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import statistics
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import typer
from numpy.typing import NDArray

from benchmarks.clusters import Clusters, Floats
from qttrag.cli.output import console, table

K = 50
_DIM = 1024
_SCANNED = 500_000  # vectors the scan in torch is measured on, held in memory as the research code does; then times
_NAME = "benchmark"


def main(
    sizes: list[str] = typer.Argument(help="Numbers of vectors: 100k, 1M, 10M, 39M."),  # noqa: B008
    folder: Path = typer.Option(Path("indexes/built"), help="Where the index is built; removed afterwards."),  # noqa: B008
    faiss: str = typer.Option("auto", help="FAISS factory string."),
    questions: int = typer.Option(1000, help="Questions searched."),
    tuned_on: int = typer.Option(300, help="Passages of the index it is tuned by."),
    recall: float = typer.Option(0.98, help="Recall it is tuned to."),
    threads: int = typer.Option(0, help="Threads; 0: all cores."),
    sparse: bool = typer.Option(False, help="Keep only vectors that are read: for more than the disk holds."),
) -> None:
    """Build, tune and search an index of each size and print what it took, beside an exact scan."""
    if threads:
        os.environ["OMP_NUM_THREADS"] = str(threads)
    for size in sizes:
        rows = _number(size)
        home = folder / f"benchmark-{size}"
        os.environ["QTTRAG_HOME"] = str(home)
        try:
            found = _measure(home, rows, faiss, questions, tuned_on, recall, threads or os.cpu_count() or 1, sparse)
        finally:
            shutil.rmtree(home, ignore_errors=True)
        console().print(table(f"{rows:,} vectors of {_DIM} dimensions", "", rows=[[k, v] for k, v in found.items()]))
        sys.stdout.flush()


def _number(size: str) -> int:
    units = {"k": 1_000, "M": 1_000_000}
    return int(float(size[:-1]) * units[size[-1]]) if size[-1] in units else int(size)


def _measure(
    home: Path, rows: int, faiss: str, questions: int, tuned_on: int, recall: float, threads: int, sparse: bool
) -> dict[str, str]:
    home.mkdir(parents=True)
    if sparse:
        from benchmarks import sparse as sparsely

        built = _apart(sparsely.build, home, rows, _DIM, faiss, questions, tuned_on, K)
    else:
        built = _apart(_build, rows, faiss)
        truth = _apart(_exact, home, rows, questions)
        built |= {name: truth[name] for name in ("best", "fiftieth")}
    tuned = _apart(_tune, home, tuned_on, recall, sparse)
    _forget(home)
    searched = _apart(_search, home, rows, questions, threads)
    scan = _apart(_scan, min(rows, _SCANNED), rows)
    alone, again = (scan["one"] * 1000 / searched[name] for name in ("p50", "again"))
    together = scan["batch"] * searched["batched"]
    of = "measured" if rows <= _SCANNED else f"{_SCANNED:,} measured, times {rows / _SCANNED:g}"
    return {
        "threads, load when it began": f"{threads}, {built['load']:.1f}",
        "index": built["factory"],
        **built["said"],
        "memory while building": f"{built['most'] / 1e9:.2f} GB at most, beside files that are mapped",
        "size on disk": built["disk"],
        "median cosine, best and fiftieth": f"{built['best']:.3f} {built['fiftieth']:.3f}",
        "tuned to": tuned["plan"],
        "tuning": f"{tuned['seconds']:,.0f} s, {tuned['trials']} plans tried, recall there {tuned['recall']:.4f}",
        "open to first answer, nothing cached": f"{searched['first']:.2f} s, opening alone {searched['opened']:.2f} s",
        f"one question, the first {searched['cold']} of {questions:,}": f"p50 {searched['first50']:.1f} ms, p99 "
        f"{searched['first99']:.1f} ms (lists and candidates are read from the disk)",
        "one question, the others": f"p50 {searched['p50']:.1f} ms, p99 {searched['p99']:.1f} ms (the index is in "
        "memory, candidates are read from the disk)",
        "asked again": f"p50 {searched['again']:.1f} ms, p99 {searched['again99']:.1f} ms (they are in memory)",
        "in batches of 64": f"{searched['batched']:,.0f} questions a second (asked again)",
        f"recall@{K} of {questions:,} questions": f"{searched['recall']:.4f}",
        "memory while searching": f"{searched['anonymous'] / 1e9:.2f} GB, and of files that are mapped, which the "
        f"system may drop, {searched['mapped'] / 1e9:.2f} GB",
        "scan in torch, float16": f"one question {scan['one'] * 1000:,.0f} ms, in batches of 64 "
        f"{1 / scan['batch']:,.1f} a second ({of}; {scan['way']})",
        "times faster than the scan": f"one question {alone:,.0f}, asked again {again:,.0f}, batches {together:,.0f}",
    }


def _apart(step: Callable[..., dict[str, Any]], *given: Any) -> dict[str, Any]:
    """Return what a step returns in a process of its own, and the most memory it held."""
    context = multiprocessing.get_context("spawn")
    receive, send = context.Pipe(duplex=False)
    process = context.Process(target=_run, args=(send, step, given))
    process.start()
    send.close()
    try:
        found: dict[str, Any] = receive.recv()
    except EOFError:
        raise SystemExit(f"{step.__name__} failed") from None
    process.join()
    print(f"# {step.__name__}: {json.dumps(found, default=str)}", file=sys.stderr, flush=True)
    return found


def _run(send: Any, step: Callable[..., dict[str, Any]], given: tuple[Any, ...]) -> None:
    held, over = [0], threading.Event()

    def look() -> None:
        while not over.wait(0.1):
            held[0] = max(held[0], _held("RssAnon"))

    watching = threading.Thread(target=look, daemon=True)
    watching.start()
    load, start = os.getloadavg()[0], time.perf_counter()
    found = step(*given)
    over.set()
    watching.join()
    told = {"load": load, "seconds": time.perf_counter() - start, "most": held[0]}
    send.send({**told, "anonymous": _held("RssAnon"), "mapped": _held("RssFile"), **found})


def _held(what: str) -> int:
    """Return the bytes of memory that this process holds: RssAnon, its own, or RssFile, of files that are mapped."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(what))


def _build(rows: int, faiss: str) -> dict[str, Any]:
    from qttrag.indexes.collection import find
    from qttrag.indexes.jobs.index_job import IndexJob, Progress
    from qttrag.indexes.jobs.precomputed import EncodedPassages, build_from_vectors
    from qttrag.indexes.recipe import EncoderSettings, Recipe, Source
    from qttrag.indexes.sources.records import SourcePosition
    from qttrag.types import EncoderInfo, Lang, Passage

    clusters, making = Clusters(rows, _DIM), 0.0
    begun: dict[str, float] = {}

    def read(job: IndexJob) -> Iterator[EncodedPassages]:
        nonlocal making
        done = 0
        for number in range(clusters.blocks):
            start = time.perf_counter()
            block = clusters.block(number)
            making += time.perf_counter() - start
            numbers = range(done, done + len(block))
            passages = [Passage(f"p{n}", f"Passage {n}.", Lang("en")) for n in numbers]
            done += len(block)
            yield EncodedPassages(passages, block, list(numbers), SourcePosition(0, done), done / rows)

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
    written = begun["train"] - start - making
    folder = find(_NAME).folder
    sizes = {name: sum(path.stat().st_size for path in folder.glob(name)) for name in ("vectors-*", "faiss.index")}
    added = end - begun["add"]
    return {
        "factory": manifest.faiss,
        "disk": f"{sizes['vectors-*'] / 1e9:.2f} GB of vectors, {sizes['faiss.index'] / 1e9:.2f} GB of index "
        f"({sizes['faiss.index'] / rows:.0f} bytes a vector)",
        "said": {
            "writing shards": f"{written:,.0f} s ({rows / written:,.0f} vectors a second, without making them)",
            "training": f"{begun['add'] - begun['train']:,.0f} s",
            "adding": f"{added:,.0f} s ({rows / added:,.0f} vectors a second)",
        },
    }


def _exact(home: Path, rows: int, questions: int) -> dict[str, Any]:
    from qttrag.indexes.ann import exact
    from qttrag.indexes.collection import find
    from qttrag.indexes.storage.vectors import Vectors

    asked = Clusters(rows, _DIM).questions(questions)
    best = exact.scan(Vectors(find(_NAME).folder), asked, K)
    return keep_truth(home, asked, np.stack([each.scores for each in best]))


def keep_truth(home: Path, asked: Floats, scores: Floats) -> dict[str, Any]:
    """Write the questions and the scores of their exact best for the steps after this."""
    np.savez(home / "truth.npz", asked=asked, scores=scores)
    return {"best": float(np.median(scores[:, 0])), "fiftieth": float(np.median(scores[:, -1]))}


def _tune(home: Path, tuned_on: int, recall: float, sparse: bool) -> dict[str, Any]:
    from qttrag.indexes import collection as search
    from qttrag.indexes.jobs import tune

    collection = search.open_index(_NAME, threads=1)
    if sparse:
        from benchmarks import sparse as sparsely

        tuned, trials = sparsely.tune(home, collection, recall, K)
    else:
        sample = tune.sample_passages(collection, tuned_on)
        tuned, trials = tune.tune(collection, sample, target=recall, k=K)
    tune.save(search.find(_NAME).folder, collection.manifest, tuned)
    plan = f"{tuned.nprobe} lists, {tuned.ef_search or 'no'} nodes, {tuned.depth} candidates"
    return {"plan": plan, "recall": tuned.recall, "trials": len(trials), "tried": trials}


def _forget(home: Path) -> None:
    """Have the system drop the index from its memory."""
    os.sync()
    for path in home.rglob("*"):
        if path.is_file():
            descriptor = os.open(path, os.O_RDONLY)
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(descriptor)


def _search(home: Path, rows: int, questions: int, threads: int) -> dict[str, Any]:
    import qttrag.indexes.collection as search

    truth = np.load(home / "truth.npz")
    asked, scores = truth["asked"], truth["scores"]
    start = time.perf_counter()
    collection = search.open_index(_NAME, threads=threads)
    opened = time.perf_counter() - start
    collection.search(asked[:1], K)
    first = time.perf_counter() - start
    cold = questions // 5
    begun = [_timed(collection.search, asked[n : n + 1], K) * 1000 for n in range(1, cold)]
    search.read_ahead(_NAME)
    alone = [_timed(collection.search, asked[n : n + 1], K) * 1000 for n in range(cold, questions)]
    again = [_timed(collection.search, asked[n : n + 1], K) * 1000 for n in range(questions)]
    start = time.perf_counter()
    hits = [each for n in range(0, questions, 64) for each in collection.search(asked[n : n + 64], K)]
    batched = questions / (time.perf_counter() - start)
    return {
        "opened": opened,
        "first": first,
        "cold": cold,
        "first50": float(np.percentile(begun, 50)),
        "first99": float(np.percentile(begun, 99)),
        "p50": float(np.percentile(alone, 50)),
        "p99": float(np.percentile(alone, 99)),
        "again": float(np.percentile(again, 50)),
        "again99": float(np.percentile(again, 99)),
        "batched": batched,
        "recall": _recall([np.array([hit.score for hit in each]) for each in hits], scores),
    }


def _recall(found: list[NDArray[np.float64]], scores: Floats) -> float:
    """Return the mean share of hits that score as the exact best do."""
    from qttrag.indexes.ann.exact import ROUNDING

    shares = [float((each >= best[-1] - ROUNDING).sum()) / K for each, best in zip(found, scores, strict=True)]
    return statistics.fmean(shares)


def _timed(call: Callable[..., object], *given: object) -> float:
    start = time.perf_counter()
    call(*given)
    return time.perf_counter() - start


def _scan(measured: int, rows: int) -> dict[str, Any]:
    """Time `topk(questions @ vectors.T)` over chunks held in memory as float16; the faster of two ways to multiply."""
    import torch

    clusters = Clusters(measured, _DIM)
    chunks = [torch.from_numpy(block).half() for block in clusters]
    asked = torch.from_numpy(clusters.questions(64))

    def scan(queries: torch.Tensor, way: str) -> None:
        found = []
        for chunk in chunks:
            scores = queries @ chunk.float().T if way == "float32" else (queries.half() @ chunk.T).float()
            found.append(torch.topk(scores, min(K, len(chunk)), dim=1).values)
        torch.topk(torch.cat(found, dim=1), min(K, measured), dim=1)

    best: dict[str, Any] = {}
    for name, queries, share in (("one", asked[:1], 1), ("batch", asked, 64)):
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
