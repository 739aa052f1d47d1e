"""The choice of a FAISS index, and the training of one with many lists."""

from __future__ import annotations

from collections.abc import Iterator

import faiss
import numpy as np
import pytest

from qttrag.indexes.ann import coarse_clustering, exact, first_stage, training
from qttrag.indexes.ann.first_stage import Effort
from qttrag.indexes.collection import Plan
from tests.indexes import synthetic

VECTORS = synthetic.vectors(9000, 32, clusters=700)


def sample(n: int) -> Iterator[synthetic.Floats]:
    for start in range(0, min(n, len(VECTORS)), 1000):
        yield VECTORS[start : min(start + 1000, n)]


@pytest.mark.parametrize(
    ("rows", "factory"),
    [
        (100_000, "Flat"),
        (1_000_000, "RR1024,IVF4096_HNSW64,RaBitQ"),
        (10_000_000, "RR1024,IVF16384_HNSW64,RaBitQ"),
        (39_000_000, "RR1024,IVF65536_HNSW64,RaBitQ"),
        (400_000_000, "RR1024,IVF65536_HNSW64,RaBitQ"),
    ],
)
def test_auto_depends_on_the_number_of_vectors(rows: int, factory: str) -> None:
    assert training.resolve("auto", rows, 1024) == factory
    assert training.resolve("IVF4,SQ8", rows, 1024) == "IVF4,SQ8"


@pytest.mark.parametrize("factory", ["IVF4096,SQ8", "RR32,IVF4096_HNSW8,RaBitQ", "OPQ8_32,IVF4096,PQ8x4"])
def test_many_lists_are_trained_in_two_levels(factory: str) -> None:
    index = faiss.index_factory(32, factory, faiss.METRIC_INNER_PRODUCT)
    assert coarse_clustering.has_many_lists(index)
    training.train(index, sample, len(VECTORS))
    assert index.is_trained
    index.add(VECTORS)
    inverted = first_stage.inverted(index)
    assert inverted is not None
    assert inverted.quantizer.ntotal == 4096
    sizes = [inverted.invlists.list_size(n) for n in range(4096)]
    assert sum(sizes) == len(VECTORS)
    assert max(sizes) < 60


def test_a_graph_over_lists_finds_the_nearest_list() -> None:
    vectors = synthetic.vectors(9000, 128, clusters=700)
    index = faiss.index_factory(128, "IVF4096_HNSW4,RaBitQ", faiss.METRIC_INNER_PRODUCT)
    training.train(index, lambda n: iter(np.split(vectors, 9)), len(vectors))
    quantizer = first_stage.inverted(index).quantizer  # type: ignore[union-attr]
    nearest = np.argmax(vectors @ quantizer.reconstruct_n(0, 4096).T, axis=1)
    assert np.mean(quantizer.assign(vectors, 1)[:, 0] == nearest) > 0.98


def test_faiss_trains_few_lists() -> None:
    for factory in ("IVF64,SQ8", "HNSW8", "Flat", "IVF4096,PQ8x4,RFlat"):
        assert not coarse_clustering.has_many_lists(faiss.index_factory(32, factory))


def test_centres_are_allocated_in_proportion_to_group_sizes_and_at_most_one_per_vector() -> None:
    sizes = np.array([0, 1, 1, 50, 3, 45])
    assert coarse_clustering.allocate(100, sizes) == sizes.tolist()
    assert sum(coarse_clustering.allocate(37, sizes)) == 37
    assert all(given <= size for given, size in zip(coarse_clustering.allocate(37, sizes), sizes, strict=True))


def test_an_index_of_many_lists_has_a_high_recall() -> None:
    collection = synthetic.index(VECTORS, "RR32,IVF4096_HNSW8,RaBitQ", shard_rows=4000)
    queries = synthetic.near(VECTORS, 50)
    best = exact.scan(collection.vectors, queries, 10)
    found = collection.nearest(queries, 10, plan=Plan(Effort(nprobe=256), 300))
    assert np.mean([exact.recall(*pair) for pair in zip(found, best, strict=True)]) > 0.95
