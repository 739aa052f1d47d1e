"""Choosing how an index is searched, against exact search."""

from __future__ import annotations

import json
from pathlib import Path

import filelock
import numpy as np
import pytest

from qttrag import resources
from qttrag.errors import CollectionError, InputError
from qttrag.indexes.ann import exact
from qttrag.indexes.ann.first_stage import AS_BUILT, Candidates, Effort
from qttrag.indexes.collection import Plan, find, open_index, verify
from qttrag.indexes.jobs import tune
from qttrag.indexes.jobs.plan_search import undominated
from qttrag.indexes.recipe import load
from tests import deployment
from tests.indexes import synthetic
from tests.indexes.jobs.real_encoders import build, sample_questions

VECTORS = synthetic.vectors(2000, clusters=100)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QTTRAG_HOME", str(tmp_path))


def test_an_exact_scan_in_blocks_finds_what_one_product_finds() -> None:
    collection = synthetic.index(VECTORS, "Flat", shard_rows=700)
    queries = synthetic.near(VECTORS, 9)
    stored = VECTORS.astype(np.float16).astype(np.float32)
    scanned: list[int] = []
    for query, hits in zip(queries, exact.scan(collection.vectors, queries, 12, progress=scanned.append), strict=True):
        assert hits.rows.tolist() == np.argsort(-(stored @ query), kind="stable")[:12].tolist()
    assert scanned == [700, 1400, 2000]


def test_an_excluded_row_is_not_found() -> None:
    collection = synthetic.index(VECTORS, "Flat")
    own = np.array([3, 77])
    for row, hits in zip(own, exact.scan(collection.vectors, VECTORS[own], 5, left_out=own), strict=True):
        assert len(hits.rows) == 5
        assert row not in hits.rows


def test_any_of_equally_good_hits_counts() -> None:
    best = Candidates(np.array([1, 2, 3]), np.array([0.9, 0.8, 0.7], np.float32))
    other = Candidates(np.array([1, 9, 8]), np.array([0.9, 0.7, 0.6], np.float32))
    assert exact.recall(other, best) == pytest.approx(2 / 3)


def test_sampled_queries_are_as_far_from_passages_as_questions_are() -> None:
    collection = synthetic.index(VECTORS, "Flat")
    sample = tune.sample_passages(collection, 50)
    assert sample.own_rows is not None
    cosines = (sample.vectors * collection.vectors.take(sample.own_rows)).sum(axis=1)
    assert cosines == pytest.approx(tune.NEAR, abs=1e-3)
    assert len(set(sample.own_rows)) == 50


@pytest.mark.parametrize("faiss", ["IVF64,SQ8", "RR64,IVF64,RaBitQ", "HNSW8", "SQ4", "Flat"])
def test_the_chosen_plan_has_the_required_recall(faiss: str) -> None:
    collection = synthetic.index(VECTORS, faiss, threads=1)
    sample = tune.sample_passages(collection, 100)
    tuned, trials = tune.tune(collection, sample, target=0.95, k=10)
    assert tuned.error is not None
    assert tuned.recall - tuned.error >= 0.95
    cheapest = undominated([trial for trial in trials if trial.reaches(0.95)])
    assert tuned.ms == round(min(trial.ms for trial in cheapest), 3)
    assert (tuned.nprobe is not None, tuned.ef_search is not None) == ("IVF" in faiss, "HNSW" in faiss)
    if "IVF" in faiss:
        assert any(trial.recall < 0.95 for trial in trials)


def test_the_measured_recall_is_that_of_later_searches() -> None:
    collection = synthetic.index(VECTORS, "RR64,IVF64,RaBitQ")
    folder, _ = find("synthetic")
    sample = tune.sample_passages(collection, 200)
    tuned, _ = tune.tune(collection, sample, target=0.9, k=10)
    tune.save(folder, collection.manifest, tuned)
    again = open_index("synthetic")
    assert again.plan(10) == Plan(Effort(nprobe=tuned.nprobe), tuned.depth)
    best = exact.scan(again.vectors, sample.vectors, 10, left_out=sample.own_rows)
    results = again.search(sample.vectors, 11)
    shares = []
    assert sample.own_rows is not None
    for hits, of, own in zip(results, best, sample.own_rows, strict=True):
        ids = [hit.passage.passage_id for hit in hits if hit.passage.passage_id != f"p{own:04d}"][:10]
        shares.append(len({f"p{row:04d}" for row in of.rows} & set(ids)) / 10)
    assert np.mean(shares) == pytest.approx(tuned.recall, abs=0.005)


def test_an_impossible_recall_gives_the_best_plan() -> None:
    collection = synthetic.index(VECTORS, "RaBitQ")
    sample = tune.sample_passages(collection, 50)
    tuned, trials = tune.tune(collection, sample._replace(own_rows=None), target=1.0, k=10)
    assert tuned.recall == round(max(trial.recall for trial in trials), 5)
    assert tuned.wanted == 1.0


def test_more_hits_than_tuned_for_have_more_candidates() -> None:
    collection = synthetic.index(VECTORS, "IVF64,SQ8")
    sample = tune.sample_passages(collection, 20)
    tuned, _ = tune.tune(collection, sample, target=0.5, k=10)
    collection.manifest.tuned = tuned
    assert collection.plan(5).depth == tuned.depth
    assert collection.plan(25).depth == -(-tuned.depth * 25 // 10)


def test_an_untuned_index_is_searched_as_built() -> None:
    assert synthetic.index(VECTORS, "SQ8").plan(10) == Plan(AS_BUILT, 100)


def test_an_index_changed_in_the_meantime_keeps_its_settings() -> None:
    collection = synthetic.index(VECTORS, "SQ8")
    tuned, _ = tune.tune(collection, tune.sample_passages(collection, 10), target=0.5, k=10)
    folder, _ = find("synthetic")
    synthetic.index(VECTORS[:500], "SQ8")
    with pytest.raises(CollectionError, match="'synthetic' was changed while it was tuned; tune it again"):
        tune.save(folder, collection.manifest, tuned)
    with (
        filelock.FileLock(resources.built_folder() / ".synthetic.lock"),
        pytest.raises(CollectionError, match="is locked by another process"),
    ):
        tune.save(folder, collection.manifest, tuned)


def test_too_few_passages_cannot_be_tuned() -> None:
    collection = synthetic.index(VECTORS[:10], "Flat")
    with pytest.raises(InputError, match=r"has 10 passages, no more than the 10 hits to measure by.*-k"):
        tune.tune(collection, tune.sample_passages(collection, 5), target=0.9, k=10)


def test_questions_of_a_file_are_encoded_like_queries(tmp_path: Path, tiny: Path) -> None:
    build(load(deployment.write_recipe(tmp_path, tiny)))
    path = tmp_path / "questions.txt"
    path.write_text("Missä silta on?\n\n다리는 언제 개통되었나요?\n")
    sample = sample_questions(find("mixed").manifest, path)
    assert sample.vectors.shape == (2, 64)
    assert sample.own_rows is None
    path.write_text("\n")
    with pytest.raises(InputError, match=r"questions\.txt: no question in it"):
        sample_questions(find("mixed").manifest, path)


def test_the_command_saves_the_chosen_plan() -> None:
    from typer.testing import CliRunner

    from qttrag.cli import app

    synthetic.index(VECTORS, "RR64,IVF64,RaBitQ")
    result = CliRunner().invoke(app, ["index", "tune", "synthetic", "--recall", "0.9", "-k", "10", "-n", "50"])
    assert result.exit_code == 0, result.output
    assert "saved in its manifest, with a recall of " in result.output
    assert "left out of their results" in " ".join(result.output.split())
    tuned = find("synthetic").manifest.tuned
    assert tuned is not None
    assert (tuned.k, tuned.queries, tuned.rows, tuned.wanted) == (10, 50, 2000, 0.9)
    assert verify("synthetic") == []
    shown = json.loads(CliRunner().invoke(app, ["index", "info", "synthetic", "--json"]).output)
    assert shown["tuned"]["recall"] == tuned.recall
