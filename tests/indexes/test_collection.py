"""Search in two stages, on clustered vectors."""

from __future__ import annotations

import os
import resource
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from qttrag.indexes import collection as search
from qttrag.indexes.ann.first_stage import Candidates, Effort, FirstStage, inverted, parameters
from qttrag.indexes.ann.rescoring import best, rescore
from qttrag.indexes.collection import Collection, Plan
from qttrag.indexes.storage.vectors import Vectors
from qttrag.types import Lang
from tests.indexes import synthetic

FACTORIES = [
    "Flat",
    "HNSW16",
    "HNSW16,SQ8",
    "IVF8,Flat",
    "IVF8,SQ8",
    "IVF8,PQ16x4",
    "OPQ16_64,IVF8,PQ16x4",
    "RR64,IVF8,RaBitQ",
    "RR64,IVF8_HNSW8,RaBitQ",
    "RR64,IVF8,RaBitQ4",
    "RaBitQ",
    "SQ8",
]
VECTORS = synthetic.vectors(800)
QUERIES = synthetic.near(VECTORS, 40)


@pytest.fixture(scope="module")
def indexes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Collection]:
    """Return an index of the same vectors for each factory string."""
    before = os.environ.get("QTTRAG_HOME")
    os.environ["QTTRAG_HOME"] = str(tmp_path_factory.mktemp("indexes"))
    found = {faiss: synthetic.index(VECTORS, faiss, name=f"i{n}") for n, faiss in enumerate(FACTORIES)}
    if before is None:
        del os.environ["QTTRAG_HOME"]
    else:
        os.environ["QTTRAG_HOME"] = before
    return found


def exact(query: np.ndarray, k: int) -> list[int]:
    stored = VECTORS.astype(np.float16).astype(np.float32)
    return [int(row) for row in np.argsort(-(stored @ query), kind="stable")[:k]]


@pytest.mark.parametrize("faiss", FACTORIES)
def test_rescored_candidates_are_nearly_those_of_an_exact_scan(indexes: dict[str, Collection], faiss: str) -> None:
    found = indexes[faiss].nearest(QUERIES, 10, plan=Plan(Effort(nprobe=8, ef_search=200), 200))
    shares = [len(set(each.rows) & set(exact(query, 10))) / 10 for query, each in zip(QUERIES, found, strict=True)]
    assert np.mean(shares) > 0.97


@pytest.mark.parametrize("faiss", FACTORIES)
@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(st.integers(0, len(QUERIES) - 1), min_size=1, max_size=30),
    langs=st.sampled_from([synthetic.LANGS, (Lang("ko"),), (Lang("en"), Lang("fi"))]),
)
def test_the_hits_of_a_query_do_not_depend_on_other_queries(
    indexes: dict[str, Collection], faiss: str, rows: list[int], langs: tuple[Lang, ...]
) -> None:
    collection = indexes[faiss]
    together = collection.search(QUERIES[rows], 7, langs)
    assert together == [collection.search(QUERIES[row : row + 1], 7, langs)[0] for row in rows]


def test_one_thread_finds_what_several_find(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QTTRAG_HOME", str(tmp_path))
    one = synthetic.index(VECTORS, "RR64,IVF8,RaBitQ", threads=1)
    assert one.search(QUERIES, 5) == search.open_index("synthetic", threads=4).search(QUERIES, 5)


@pytest.mark.parametrize("faiss", ["Flat", "SQ8"])
def test_of_equal_passages_those_with_the_first_ids_are_returned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, faiss: str
) -> None:
    """There are more of them than candidates at first."""
    monkeypatch.setenv("QTTRAG_HOME", str(tmp_path))
    same = np.repeat(VECTORS[:1], 300, axis=0)
    if faiss == "SQ8":
        same = same[:40]
    collection = synthetic.index(np.concatenate([VECTORS[1:50], same]), faiss)
    (hits,) = collection.search(VECTORS[:1], 5)
    assert [hit.passage.passage_id for hit in hits] == ["p0049", "p0050", "p0051", "p0052", "p0053"]


def test_all_passages_are_returned_if_they_are_fewer_than_k(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QTTRAG_HOME", str(tmp_path))
    (hits,) = synthetic.index(VECTORS[:6], "Flat").search(QUERIES[:1], 10)
    assert len(hits) == 6
    (hits,) = search.open_index("synthetic").search(QUERIES[:1], 10, [Lang("fi"), Lang("sv")])
    assert [hit.passage.passage_id for hit in hits] == ["p0002"]


@pytest.mark.parametrize("faiss", ["IVF64,SQ8", "RR64,IVF64,RaBitQ"])
def test_more_lists_are_searched_until_there_are_enough_hits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, faiss: str
) -> None:
    """Few passages are in the language, and few are in each list."""
    monkeypatch.setenv("QTTRAG_HOME", str(tmp_path))
    collection = synthetic.index(VECTORS, faiss)
    lists = inverted(collection.first_stage.index)
    assert lists is not None
    lists.nprobe = 1
    for hits in collection.search(QUERIES, 60, [Lang("zh")]):
        assert [hit.passage.lang for hit in hits] == ["zh"] * 60
    assert len(collection.search(QUERIES[:1], 500, [Lang("zh")])[0]) == 200


def test_no_queries_give_no_results(indexes: dict[str, Collection]) -> None:
    assert indexes["Flat"].search(QUERIES[:0], 5) == []
    assert indexes["RaBitQ"].search(QUERIES[:0], 5) == []


def test_more_lists_hold_more_candidates(indexes: dict[str, Collection]) -> None:
    stage = indexes["IVF8,SQ8"].first_stage
    (few,), (all_,) = (stage.find(QUERIES[:1], 800, Effort(nprobe=nprobe)) for nprobe in (1, 8))
    assert len(few.rows) < len(all_.rows) == 800


def test_vectors_are_read_in_blocks_across_shards(indexes: dict[str, Collection]) -> None:
    vectors = indexes["Flat"].vectors
    blocks = list(vectors.blocks(64))
    assert [start for start, _ in blocks][:4] == [0, 64, 100, 164]
    assert np.array_equal(np.concatenate([block for _, block in blocks]), np.concatenate(list(vectors)))


def test_the_score_of_a_candidate_does_not_depend_on_others(indexes: dict[str, Collection]) -> None:
    vectors = indexes["Flat"].vectors
    random = np.random.default_rng(3)
    found = [Candidates(random.permutation(800)[: random.integers(1, 300)], np.zeros(0, np.float32)) for _ in QUERIES]
    together = rescore(vectors, QUERIES, found)
    for query, each, scored in zip(QUERIES, found, together, strict=True):
        (alone,) = rescore(vectors, query[None], [Candidates(each.rows[:1], each.scores)])
        assert np.array_equal(scored.rows, each.rows)
        assert scored.scores[0] == alone.scores[0]


def test_candidates_that_tie_with_the_last_of_the_best_are_kept() -> None:
    found = best(Candidates(np.array([5, 3, 9, 1]), np.array([0.5, 0.7, 0.5, 0.1], np.float32)), 2)
    assert found.rows.tolist() == [3, 5, 9]


def test_the_limit_of_open_files_is_raised_for_an_index_of_many_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QTTRAG_HOME", str(tmp_path))
    synthetic.index(VECTORS, "Flat", shard_rows=10)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (len(list(Path("/proc/self/fd").iterdir())) + 20, hard))
    try:
        assert len(search.open_index("synthetic").passages) == 800
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_replaced_index_is_not_read_any_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QTTRAG_HOME", str(tmp_path))
    before = synthetic.index(VECTORS, "Flat")
    synthetic.index(VECTORS[::-1], "Flat")
    assert np.array_equal(before.vectors.take(np.arange(3)), VECTORS[:3].astype(np.float16).astype(np.float32))
    words = r"vectors-00000\.npy has been replaced since it was opened; open the index again"
    with pytest.raises(OSError, match=words):
        before.vectors.shard(0)


def test_a_file_of_other_values_than_vectors_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "vectors-00000.npy", np.zeros((3, 4), np.float32))
    with pytest.raises(ValueError, match=r"vectors-00000\.npy: not float16 vectors"):
        Vectors(tmp_path)


@pytest.mark.parametrize("faiss", ["RR64,IVF64,RaBitQ", "IVF64_HNSW8,SQ8", "OPQ8_64,IVF64,PQ8", "IVF64,Flat"])
def test_lists_shared_among_threads_give_the_results_of_faiss(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, faiss: str
) -> None:
    import faiss as library

    monkeypatch.setenv("QTTRAG_HOME", str(tmp_path))
    stage = FirstStage(synthetic.index(VECTORS, faiss).first_stage.index, lists_per_task=5)
    queries, effort = synthetic.near(VECTORS, 20), Effort(nprobe=32)
    for selector in (None, library.IDSelectorRange(100, 700)):
        given = parameters(stage.index, effort, selector, 40)
        found = stage.find(queries, 40, effort, selector)
        for query, candidates in zip(queries, found, strict=True):
            scores, rows = stage.index.search(query[None], 40, params=given)
            assert candidates.scores == pytest.approx(scores[0], abs=1e-5)
            assert len(set(candidates.rows) & set(rows[0])) >= 39  # the last may have an equal
            assert (np.diff(candidates.scores) <= 0).all()


def test_an_index_is_read_ahead_if_memory_is_large_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QTTRAG_HOME", str(tmp_path))
    synthetic.index(VECTORS, "IVF64,SQ8")
    size = (search.find("synthetic").folder / "faiss.index").stat().st_size
    assert search.read_ahead("synthetic", memory=size) == size
    assert search.read_ahead("synthetic", memory=size - 1) == 0
    assert search.available_memory() > size


def test_rows_of_many_shards_are_read_in_the_order_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QTTRAG_HOME", str(tmp_path))
    vectors = synthetic.index(VECTORS, "Flat", shard_rows=7).vectors
    rows = np.random.default_rng(0).permutation(len(VECTORS))[:300]
    rows[5] = rows[4]
    assert np.array_equal(vectors.stored(rows), VECTORS.astype(np.float16)[rows])
    assert vectors.stored(rows[:0]).shape == (0, VECTORS.shape[1])
