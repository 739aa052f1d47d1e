"""An index larger than the disk: its files have their full size, but only the vectors that a search reads are written.

All vectors are generated, added to the FAISS index and compared with all questions; then they are generated again, and
the candidates of the questions are written in their places. The rest of the files are holes, which need no space. A
search reads the same bytes in the same places as with all vectors. Not measured: writing the shards, and reading
candidates beyond those written for a question (`_CANDIDATES`), which count as not found."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from benchmarks import exact_results
from benchmarks.clusters import BLOCK, Clusters, Floats
from benchmarks.exact_results import ExactResults
from qttrag import __version__, resources

if TYPE_CHECKING:
    from qttrag.indexes.ann.first_stage import FirstStage
    from qttrag.indexes.ann.inverted_list_parts import InvertedListParts
    from qttrag.indexes.collection import Collection, Plan
    from qttrag.indexes.jobs.measured_recall import Trial
    from qttrag.indexes.storage.manifest import Tuned
    from qttrag.indexes.storage.vectors import Vectors

_TUNING_FILE = "tuning.npz"
_SHARD_ROWS = BLOCK * 81  # about a million vectors
_CANDIDATES = {**dict.fromkeys((16, 32, 64, 128, 256, 512), 1600), **dict.fromkeys((1024, 2048, 4096), 800)}
"""Number of candidates of a question that are written, by the number of lists searched."""


class _Stream:
    """Generates vectors block by block and adds them to a FAISS index, as a build does."""

    def __init__(self, clusters: Clusters, index: Any, parts: InvertedListParts) -> None:
        self._clusters, self._index, self._parts = clusters, index, parts
        self.adding = 0.0  # seconds

    def blocks(self, size: int) -> Iterator[tuple[int, Floats]]:
        for number in range(self._clusters.blocks):
            block = self._clusters.block(number)
            start = time.perf_counter()
            self._index.add(block)
            if self._parts.is_full:
                self._parts.write_part()
            self.adding += time.perf_counter() - start
            yield number * BLOCK, block


def build(home: Path, rows: int, dim: int, faiss_string: str, questions: int, tuned_on: int, k: int) -> dict[str, Any]:
    """Build the index under `home`; save the questions and their exact best there."""
    import faiss

    from qttrag.indexes.ann import exact, training
    from qttrag.indexes.ann.first_stage import FirstStage
    from qttrag.indexes.ann.inverted_list_parts import InvertedListParts, part_files

    clusters, begun = Clusters(rows, dim), time.perf_counter()
    factory = training.resolve(faiss_string, rows, dim)
    index = faiss.index_factory(dim, factory, faiss.METRIC_INNER_PRODUCT)
    training.train(index, clusters.sample, rows)
    trained = time.perf_counter()
    queries = np.concatenate([clusters.questions(questions), clusters.questions(tuned_on, seed=2)])
    parts = InvertedListParts(index, home / "lists", ())
    stream = _Stream(clusters, index, parts)
    best = exact.scan(cast("Vectors", stream), queries, k)
    parts.join()
    for path in part_files(home / "lists"):
        path.unlink()
    scores = np.stack([result.scores for result in best])
    folder = resources.built_folder() / "benchmark"
    folder.mkdir(parents=True)
    faiss.write_index(index, str(folder / training.FAISS_FILE))
    stage = FirstStage(index)
    rows_read = _candidates(stage, queries)
    _write(folder, clusters, rows_read, factory)
    exact_results.save(home, ExactResults(queries[questions:], scores[questions:]), file=_TUNING_FILE)
    size = (folder / training.FAISS_FILE).stat().st_size
    return {
        "factory": factory,
        "disk": f"{rows * dim * 2 / 1e9:.2f} GB of vectors, "
        f"of which {len(rows_read) * dim * 2 / 1e9:.2f} GB are written, "
        f"{size / 1e9:.2f} GB of index ({size / rows:.0f} bytes a vector)",
        "steps": {
            "writing shards": "not done: only vectors that are read are written",
            "training": f"{trained - begun:,.0f} s",
            "adding": f"{stream.adding:,.0f} s ({rows / stream.adding:,.0f} vectors a second)",
        },
        **exact_results.save(home, ExactResults(queries[:questions], scores[:questions])),
    }


def tune(home: Path, collection: Collection, recall: float, k: int) -> tuple[Tuned, list[Trial[Plan]]]:
    """Tune the index with the questions whose exact best `build` saved."""
    from qttrag.indexes.ann.first_stage import Candidates
    from qttrag.indexes.jobs import tune
    from qttrag.indexes.jobs.measured_recall import QuerySample

    known = exact_results.load(home, file=_TUNING_FILE)
    best = [Candidates(np.zeros(len(scores), np.int64), scores) for scores in known.scores]
    sample = QuerySample(known.questions, None, "questions generated as those of the benchmark")
    return tune.tune(collection, sample, target=recall, k=k, best=best)


def _candidates(stage: FirstStage, queries: Floats) -> NDArray[np.int64]:
    from qttrag.indexes.ann.first_stage import Effort

    union = np.zeros(0, np.int64)
    for lists, depth in _CANDIDATES.items():
        rows = [candidates.rows for candidates in stage.find(queries, depth, Effort(lists))]
        union = np.union1d(union, np.concatenate(rows))
    return union


def _write(folder: Path, clusters: Clusters, rows_read: NDArray[np.int64], factory: str) -> None:
    """Write passages, a manifest, and shards that hold the vectors of `rows_read` only."""
    from qttrag.indexes.recipe import EncoderSettings, Recipe, Source
    from qttrag.indexes.storage import passages, vectors
    from qttrag.indexes.storage.manifest import FileSum, Manifest

    shards = [min(_SHARD_ROWS, clusters.rows - start) for start in range(0, clusters.rows, _SHARD_ROWS)]
    for number, rows in enumerate(shards):
        first = number * _SHARD_ROWS
        _write_passages(folder / passages.passages_file(number), first, rows)
        with (folder / vectors.vectors_file(number)).open("wb") as stream:
            header = {"descr": "<f2", "fortran_order": False, "shape": (rows, clusters.dim)}
            np.lib.format.write_array_header_1_0(stream, header)
            begins = stream.tell()
            stream.truncate(begins + rows * clusters.dim * 2)
            for block in range(first // BLOCK, -(-(first + rows) // BLOCK)):
                here = rows_read[slice(*np.searchsorted(rows_read, [block * BLOCK, (block + 1) * BLOCK]))]
                generated = clusters.block(block).astype("<f2") if len(here) else np.zeros((0, 0), "<f2")
                for row in here.tolist():
                    place = begins + (row - first) * clusters.dim * 2
                    os.pwrite(stream.fileno(), generated[row - block * BLOCK].tobytes(), place)
    recipe = Recipe(name="benchmark", source=Source(kind="jsonl", path="none"), encoder=EncoderSettings(model="none"))
    files = {path.name: path.stat() for path in folder.iterdir()}
    Manifest(
        name="benchmark",
        qttrag=__version__,
        built=datetime.now(UTC).isoformat(timespec="seconds"),
        recipe=recipe.model_dump(mode="json"),
        recipe_digest=recipe.digest,
        encoder_revision="none",
        rows=clusters.rows,
        dim=clusters.dim,
        langs={"en": clusters.rows},
        skipped={},
        truncated=0,
        shards=shards,
        faiss=factory,
        files={n: FileSum(bytes=s.st_size, sha256="not summed", mtime_ns=s.st_mtime_ns) for n, s in files.items()},
    ).write(folder)


def _write_passages(path: Path, first: int, rows: int) -> None:
    import pyarrow as pa

    schema = pa.schema([(name, pa.large_string()) for name in ("passage_id", "title", "text", "lang")])
    with pa.ipc.new_file(str(path), schema) as writer:
        for start in range(first, first + rows, 65_536):
            numbers = pa.array(np.arange(start, min(start + 65_536, first + rows))).cast(pa.large_string())
            blank, lang = (pa.repeat(pa.scalar(text, pa.large_string()), len(numbers)) for text in ("", "en"))
            writer.write_batch(pa.record_batch([numbers, blank, numbers, lang], schema=schema))
