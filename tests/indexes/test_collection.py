"""Searching in two stages, on vectors in clusters."""

from __future__ import annotations

import os
import resource
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from qttrag.indexes import collection as search
from qttrag.indexes.ann import first_stage
from qttrag.indexes.ann.first_stage import Candidates, Effort, inverted
from qttrag.indexes.ann.rescoring import best, rescored
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
    """An index of the same vectors by each factory string."""
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
def test_candidates_scored_with_the_stored_vectors_are_nearly_those_of_an_exact_scan(
    indexes: dict[str, Collection], faiss: str
) -> None:
    found = indexes[faiss].nearest(QUERIES, 10, plan=Plan(Effort(nprobe=8, ef_search=200), 200))
    shares = [len(set(each.rows) & set(exact(query, 10))) / 10 for query, each in zip(QUERIES, found, strict=True)]
    assert np.mean(shares) > 0.97


@pytest.mark.parametrize("faiss", FACTORIES)
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(st.integers(0, len(QUERIES) - 1), min_size=1, max_size=30),
    langs=st.sampled_from([synthetic.LANGS, (Lang("ko"),), (Lang("en"), Lang("fi"))]),
)
def test_hits_and_scores_do_not_depend_on_what_else_is_searched(
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
def test_of_many_equal_passages_the_first_ids_are_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, faiss: str
) -> None:
    """More of them than are looked at at first."""
    monkeypatch.setenv("QTTRAG_HOME", str(tmp_path))
    same = np.repeat(VECTORS[:1], 300, axis=0)
    if faiss == "SQ8":
        same = same[:40]
    collection = synthetic.index(np.concatenate([VECTORS[1:50], same]), faiss)
    (hits,) = collection.search(VECTORS[:1], 5)
    assert [hit.passage.passage_id for hit in hits] == ["p0049", "p0050", "p0051", "p0052", "p0053"]


def test_fewer_passages_than_are_asked_for_are_all_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QTTRAG_HOME", str(tmp_path))
    (hits,) = synthetic.index(VECTORS[:6], "Flat").search(QUERIES[:1], 10)
    assert len(hits) == 6
    (hits,) = search.open_index("synthetic").search(QUERIES[:1], 10, [Lang("fi"), Lang("sv")])
    assert [hit.passage.passage_id for hit in hits] == ["p0002"]


@pytest.mark.parametrize("faiss", ["IVF64,SQ8", "RR64,IVF64,RaBitQ"])
def test_lists_are_looked_at_until_there_are_enough_hits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, faiss: str
) -> None:
    """Of a language that few passages are in, and of an index with few in each list."""
    monkeypatch.setenv("QTTRAG_HOME", str(tmp_path))
    collection = synthetic.index(VECTORS, faiss)
    lists = inverted(collection.first_stage.index)
    assert lists is not None
    lists.nprobe = 1
    for hits in collection.search(QUERIES, 60, [Lang("zh")]):
        assert [hit.passage.lang for hit in hits] == ["zh"] * 60
    assert len(collection.search(QUERIES[:1], 500, [Lang("zh")])[0]) == 200


def test_no_queries_find_nothing(indexes: dict[str, Collection]) -> None:
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


def test_a_candidate_scores_the_same_whoever_else_is_scored(indexes: dict[str, Collection]) -> None:
    vectors = indexes["Flat"].vectors
    random = np.random.default_rng(3)
    found = [Candidates(random.permutation(800)[: random.integers(1, 300)], np.zeros(0, np.float32)) for _ in QUERIES]
    together = rescored(vectors, QUERIES, found)
    for query, each, scored in zip(QUERIES, found, together, strict=True):
        (alone,) = rescored(vectors, query[None], [Candidates(each.rows[:1], each.scores)])
        assert np.array_equal(scored.rows, each.rows)
        assert scored.scores[0] == alone.scores[0]


def test_what_scores_as_the_last_of_the_best_is_kept() -> None:
    found = best(Candidates(np.array([5, 3, 9, 1]), np.array([0.5, 0.7, 0.5, 0.1], np.float32)), 2)
    assert found.rows.tolist() == [3, 5, 9]


def test_an_index_of_more_files_than_a_process_may_open_is_opened(
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


def test_an_index_that_was_replaced_is_not_read_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QTTRAG_HOME", str(tmp_path))
    before = synthetic.index(VECTORS, "Flat")
    synthetic.index(VECTORS[::-1], "Flat")
    assert np.array_equal(before.vectors.take(np.arange(3)), VECTORS[:3].astype(np.float16).astype(np.float32))
    with pytest.raises(
        OSError, match=r"vectors-00000\.npy has been replaced since it was opened; open the index again"
    ):
        before.vectors.shard(0)


def test_a_file_that_holds_no_vectors_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "vectors-00000.npy", np.zeros((3, 4), np.float32))
    with pytest.raises(ValueError, match=r"vectors-00000\.npy: not float16 vectors"):
        Vectors(tmp_path)


@pytest.mark.parametrize("faiss", ["RR64,IVF64,RaBitQ", "IVF64_HNSW8,SQ8", "OPQ8_64,IVF64,PQ8", "IVF64,Flat"])
@pytest.mark.parametrize("selected", [False, True])
def test_lists_shared_among_threads_hold_what_faiss_finds_in_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, faiss: str, selected: bool
) -> None:
    import faiss as library

    monkeypatch.setenv("QTTRAG_HOME", str(tmp_path))
    monkeypatch.setattr(first_stage, "_LISTS_TOGETHER", 5)
    stage = synthetic.index(VECTORS, faiss).first_stage
    queries, effort = synthetic.near(VECTORS, 20), Effort(nprobe=32)
    selector = library.IDSelectorRange(100, 700) if selected else None
    given = first_stage.parameters(stage.index, effort, selector, 40)
    found = stage.find(queries, 40, effort, selector)
    for query, candidates in zip(queries, found, strict=True):
        scores, rows = stage.index.search(query[None], 40, params=given)
        assert candidates.scores == pytest.approx(scores[0], abs=1e-5)
        assert len(set(candidates.rows) & set(rows[0])) >= 39  # the last may have an equal
        assert (np.diff(candidates.scores) <= 0).all()


def test_an_index_is_read_ahead_where_there_is_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QTTRAG_HOME", str(tmp_path))
    synthetic.index(VECTORS, "IVF64,SQ8")
    size = (search.find("synthetic").folder / "faiss.index").stat().st_size
    monkeypatch.setattr(search, "_memory", lambda: size)
    assert search.read_ahead("synthetic") == size
    monkeypatch.setattr(search, "_memory", lambda: size - 1)
    assert search.read_ahead("synthetic") == 0
