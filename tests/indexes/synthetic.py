"""Indexes of clustered vectors, generated without an encoder."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qttrag.indexes.collection import Collection, open_index
from qttrag.indexes.jobs.index_job import IndexJob
from qttrag.indexes.jobs.precomputed import EncodedPassages, build_from_vectors
from qttrag.indexes.recipe import EncoderSettings, Recipe, Source
from qttrag.indexes.sources.records import ReadSummary, SourcePosition
from qttrag.types import EncoderInfo, Lang, Passage

Floats = NDArray[np.float32]
LANGS = tuple(map(Lang, ("en", "ko", "fi", "zh")))


def vectors(n: int, dim: int = 64, *, clusters: int = 20, seed: int = 0) -> Floats:
    """Return unit vectors, each near the centre of its cluster."""
    random = np.random.default_rng(seed)
    centres = random.standard_normal((clusters, dim))
    return unit(centres[np.arange(n) % clusters] + 0.6 * random.standard_normal((n, dim)))


def near(embeddings: Floats, n: int, *, seed: int = 1) -> Floats:
    """Return queries near some of the vectors."""
    random = np.random.default_rng(seed)
    rows = random.integers(0, len(embeddings), n)
    return unit(embeddings[rows] + 0.08 * random.standard_normal((n, embeddings.shape[1])))


def unit(values: NDArray[Any]) -> Floats:
    units: Floats = (values / np.linalg.norm(values, axis=1, keepdims=True)).astype(np.float32)
    return units


def index(
    embeddings: Floats, faiss: str, *, name: str = "synthetic", shard_rows: int = 100, threads: int | None = None
) -> Collection:
    """Build and open an index of the vectors; passages are called p0000, p0001, ... and alternate in language."""
    recipe = Recipe(
        name=name,
        source=Source(kind="jsonl", path="synthetic.jsonl"),
        encoder=EncoderSettings(model="synthetic"),
        faiss=faiss,
        shard_rows=shard_rows,
    )

    def read(job: IndexJob) -> Iterator[EncodedPassages]:
        for start in range(job.journal.rows, len(embeddings), shard_rows):
            block = embeddings[start : start + shard_rows]
            rows = range(start, start + len(block))
            passages = [Passage(f"p{row:04d}", f"text {row}", LANGS[row % 4]) for row in rows]
            yield EncodedPassages(
                passages,
                block,
                ReadSummary(list(rows), Counter(), Counter()),
                SourcePosition(0, start + len(block)),
                0.0,
            )

    build_from_vectors(recipe, EncoderInfo("none", "none", embeddings.shape[1], 256), {}, read, overwrite=True)
    return open_index(name, threads=threads)
