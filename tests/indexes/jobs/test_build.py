"""Built indexes, on the tiny encoder."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import faiss as vector_search
import filelock
import numpy as np
import pytest
import yaml

from qttrag import resources
from qttrag.encoders.sentence_transformers import SentenceTransformersEncoder
from qttrag.errors import CollectionError, ConfigError, InputError
from qttrag.indexes.collection import open_index, verify
from qttrag.indexes.jobs.index_job import Progress
from qttrag.indexes.recipe import Recipe, load
from qttrag.types import Lang
from tests import deployment, tiny_models
from tests.indexes.jobs.real_encoders import build


def make_recipe(folder: Path, tiny: Path, n: int = 40, **changes: Any) -> Recipe:
    path = deployment.write_recipe(folder, tiny, n=n)
    data = yaml.safe_load(path.read_text())
    path.write_text(yaml.safe_dump({**data, **changes}))
    return load(path)


def encode(tiny: Path, texts: list[str]) -> np.ndarray[Any, np.dtype[np.float32]]:
    return SentenceTransformersEncoder(str(tiny / "encoder"), revision=None, device="cpu", max_tokens=256).encode(texts)


def test_an_index_contains_every_passage_and_its_description(tmp_path: Path, tiny: Path) -> None:
    manifest = build(make_recipe(tmp_path, tiny))
    assert (manifest.rows, manifest.dim) == (40, 64)
    assert manifest.langs == {"en": 10, "ko": 10, "fi": 10, "zh": 10}
    collection = open_index("mixed")
    assert [collection.passages[n].passage_id for n in (0, 1, 39)] == ["en-0#0", "ko-1#0", "zh-39#0"]
    assert verify("mixed") == []


@pytest.mark.parametrize("faiss", ["Flat", "HNSW16", "IVF4,Flat"])
def test_hits_equal_those_of_an_exact_scan(tmp_path: Path, tiny: Path, faiss: str) -> None:
    build(make_recipe(tmp_path, tiny, faiss=faiss, shard_rows=7))
    collection = open_index("mixed")
    queries = encode(tiny, ["silta Turku", "다리", "library in Seoul"])
    if faiss.startswith("IVF"):
        collection.first_stage.index.nprobe = 4
    vectors = np.concatenate(list(collection.vectors))
    for query, hits in zip(queries, collection.search(queries, 5), strict=True):
        scores = np.einsum("ij,j->i", vectors, query)
        exact = sorted(
            ((-float(s), collection.passages[row].passage_id) for row, s in enumerate(scores)),
        )[:5]
        assert [(-hit.score, hit.passage.passage_id) for hit in hits] == exact


@pytest.mark.parametrize(
    "faiss",
    [
        "Flat",
        "HNSW16",
        "IVF4,Flat",
        "SQ8",
        "IVF2,PQ8x4,RFlat",
        "RR32,IVF2,SQ8",
        "PCA32,HNSW16,RFlat",
        "RR64,IVF4,RaBitQ",
    ],
)
def test_a_language_filter_still_gives_k_hits(tmp_path: Path, tiny: Path, faiss: str) -> None:
    build(make_recipe(tmp_path, tiny, faiss=faiss))
    collection = open_index("mixed")
    if "IVF" in faiss:
        vector_search.extract_index_ivf(collection.first_stage.index).nprobe = 4
    (hits,) = collection.search(encode(tiny, ["silta"]), 10, [Lang("fi")])
    assert [hit.passage.lang for hit in hits] == ["fi"] * 10
    assert collection.search(encode(tiny, ["silta"]), 10, [Lang("sv")]) == [[]]


def test_equal_passages_are_ordered_by_id(tmp_path: Path, tiny: Path) -> None:
    recipe = make_recipe(tmp_path, tiny)
    rows = [{"id": f"p{n:02d}", "text": "The same text.", "lang": "en"} for n in reversed(range(60))]
    (tmp_path / "mixed.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    build(recipe)
    (hits,) = open_index("mixed").search(encode(tiny, ["text"]), 30)
    ids = [hit.passage.passage_id for hit in hits]
    assert ids == sorted(ids)


def test_a_hit_scores_the_same_whatever_else_is_searched(tmp_path: Path, tiny: Path) -> None:
    build(make_recipe(tmp_path, tiny))
    collection = open_index("mixed")
    queries = encode(tiny, [f"silta {n}" for n in range(40)])
    assert collection.search(queries, 5) == [collection.search(query[None], 5)[0] for query in queries]


def test_vectors_are_returned_in_the_requested_order_across_shards(tmp_path: Path, tiny: Path) -> None:
    build(make_recipe(tmp_path, tiny, shard_rows=7))
    vectors = open_index("mixed").vectors
    everything = np.concatenate(list(vectors))
    rows = np.array([39, 0, 7, 6, 20])
    assert len(vectors) == 40
    assert np.array_equal(vectors.take(rows), everything[rows])
    assert np.allclose(np.linalg.norm(everything, axis=1), 1, atol=1e-2)


def test_stored_vectors_are_the_encoder_s_of_each_passage(tmp_path: Path, tiny: Path) -> None:
    build(make_recipe(tmp_path, tiny, shard_rows=7, encoder={"model": str(tiny / "encoder"), "batch_tokens": 100}))
    collection = open_index("mixed")
    texts = [collection.passages[row].content for row in range(40)]
    assert np.allclose(np.concatenate(list(collection.vectors)), encode(tiny, texts), atol=2e-3)


def test_a_shard_ends_with_a_record(tmp_path: Path, tiny: Path) -> None:
    recipe = make_recipe(tmp_path, tiny, shard_rows=4, chunking={"size": 10})
    rows = [{"id": str(n), "text": "word " * 30, "lang": "en"} for n in range(5)]
    (tmp_path / "mixed.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert build(recipe).shards == [6, 6, 3]
    passages = open_index("mixed").passages
    assert [passages[row].passage_id for row in range(15)] == [f"{n}#{part}" for n in range(5) for part in range(3)]


def test_progress_is_reported_for_every_step_to_the_end(tmp_path: Path, tiny: Path) -> None:
    progress: list[Progress] = []
    build(make_recipe(tmp_path, tiny, faiss="IVF4,Flat"), progress=progress.append)
    assert list(dict.fromkeys(update.step for update in progress)) == ["encode", "train", "add"]
    assert progress[-1] == ("add", 40, 1.0)
    assert [update for update in progress if update.step == "encode"][-1] == ("encode", 40, 1.0)


def test_a_factory_string_is_chosen_and_recorded(tmp_path: Path, tiny: Path) -> None:
    assert build(make_recipe(tmp_path, tiny, faiss="auto")).faiss == "Flat"


def test_passages_longer_than_the_encoder_reads_are_counted(tmp_path: Path, tiny: Path) -> None:
    recipe = make_recipe(tmp_path, tiny, encoder={"model": str(tiny / "encoder"), "max_tokens": 8})
    assert build(recipe).truncated > 0


def test_skipped_records_are_in_the_manifest(tmp_path: Path, tiny: Path) -> None:
    recipe = make_recipe(tmp_path, tiny)
    with (tmp_path / "mixed.jsonl").open("a") as file:
        file.write("{oops\n")
    with pytest.raises(InputError, match=r"mixed.jsonl:41"):
        build(recipe)
    assert build(recipe, on_error="skip").skipped == {"not JSON": 1}


def test_a_failed_build_leaves_nothing(tmp_path: Path, tiny: Path) -> None:
    recipe = make_recipe(tmp_path, tiny)
    (tmp_path / "mixed.jsonl").write_text("{oops\n")
    with pytest.raises(InputError):
        build(recipe)
    assert [path.name for path in resources.built_folder().iterdir()] == [".mixed.lock"]


def test_a_failed_rebuild_leaves_the_existing_index(tmp_path: Path, tiny: Path) -> None:
    recipe = make_recipe(tmp_path, tiny)
    build(recipe)
    (tmp_path / "mixed.jsonl").write_text("{oops\n")
    with pytest.raises(InputError):
        build(recipe, overwrite=True)
    assert open_index("mixed").manifest.rows == 40


def test_an_existing_index_is_replaced_only_with_overwrite(tmp_path: Path, tiny: Path) -> None:
    build(make_recipe(tmp_path, tiny))
    with pytest.raises(CollectionError, match=r"'mixed' already exists.*--overwrite"):
        build(make_recipe(tmp_path, tiny, n=8))
    build(make_recipe(tmp_path, tiny, n=8), overwrite=True)
    assert open_index("mixed").manifest.rows == 8


def test_a_source_without_passages_gives_no_index(tmp_path: Path, tiny: Path) -> None:
    recipe = make_recipe(tmp_path, tiny)
    (tmp_path / "mixed.jsonl").write_text("\n")
    with pytest.raises(InputError, match="gives no passages"):
        build(recipe)


def test_an_unknown_factory_string_is_refused(tmp_path: Path, tiny: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot make 'Flatt'.*`faiss: Flat` always works"):
        build(make_recipe(tmp_path, tiny, faiss="Flatt"))


def test_a_folder_without_an_encoder_is_refused(tmp_path: Path, tiny: Path) -> None:
    with pytest.raises(ConfigError, match=r"holds a 'llama' model.*not a sentence-transformers encoder"):
        build(make_recipe(tmp_path, tiny, encoder={"model": str(tiny / "llama")}))


def test_an_unknown_index_is_reported_with_the_nearest_name(tmp_path: Path, tiny: Path) -> None:
    build(make_recipe(tmp_path, tiny))
    with pytest.raises(CollectionError, match=r"unknown index 'mixd'; did you mean 'mixed'.*qttrag index build mixd"):
        open_index("mixd")


@pytest.mark.parametrize("name", ["passages.arrow", "vectors-00000.npy", "faiss.index", "manifest.json"])
def test_a_missing_file_is_reported_by_name(tmp_path: Path, tiny: Path, name: str) -> None:
    build(make_recipe(tmp_path, tiny))
    (resources.built_folder() / "mixed" / name).unlink()
    with pytest.raises(CollectionError, match=f"{name}.*build it again: qttrag index build mixed --overwrite"):
        open_index("mixed")


@pytest.mark.parametrize("name", ["passages.arrow", "vectors-00000.npy", "faiss.index"])
def test_a_truncated_file_is_reported_by_name(tmp_path: Path, tiny: Path, name: str) -> None:
    build(make_recipe(tmp_path, tiny))
    path = resources.built_folder() / "mixed" / name
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(CollectionError, match=f"{name} has .* bytes"):
        open_index("mixed")


@pytest.mark.parametrize("name", ["passages.arrow", "vectors-00000.npy", "faiss.index"])
def test_verify_detects_one_changed_byte(tmp_path: Path, tiny: Path, name: str) -> None:
    build(make_recipe(tmp_path, tiny))
    path = resources.built_folder() / "mixed" / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    assert any(name in problem and "SHA-256" in problem for problem in verify("mixed"))


def test_a_damaged_manifest_is_reported_by_name(tmp_path: Path, tiny: Path) -> None:
    build(make_recipe(tmp_path, tiny))
    (resources.built_folder() / "mixed" / "manifest.json").write_text("{")
    with pytest.raises(CollectionError, match=r"manifest.json: damaged"):
        open_index("mixed")


def test_one_changed_character_of_the_manifest_is_detected(tmp_path: Path, tiny: Path) -> None:
    build(make_recipe(tmp_path, tiny))
    path = resources.built_folder() / "mixed" / "manifest.json"
    path.write_text(path.read_text().replace('"en": 10', '"es": 10'))
    with pytest.raises(CollectionError, match=r"manifest.json: damaged \(its SHA-256 differs\)"):
        open_index("mixed")


def test_a_newer_layout_is_refused(tmp_path: Path, tiny: Path) -> None:
    build(make_recipe(tmp_path, tiny))
    path = resources.built_folder() / "mixed" / "manifest.json"
    path.write_text(path.read_text().replace('"layout": 1', '"layout": 9'))
    with pytest.raises(CollectionError, match="layout 9, this qttrag reads 1"):
        open_index("mixed")


def test_an_index_can_be_moved(tmp_path: Path, tiny: Path) -> None:
    build(make_recipe(tmp_path, tiny))
    shutil.move(resources.built_folder() / "mixed", tmp_path / "elsewhere")
    assert open_index(str(tmp_path / "elsewhere")).manifest.rows == 40


def test_the_recipe_digest_ignores_only_the_encoder_s_placement(tmp_path: Path, tiny: Path) -> None:
    recipe = make_recipe(tmp_path, tiny)
    gpu = recipe.model_copy(update={"encoder": recipe.encoder.model_copy(update={"device": "cuda"})})
    assert gpu.digest == recipe.digest
    assert make_recipe(tmp_path, tiny, faiss="HNSW8").digest != recipe.digest


def test_another_encoder_has_another_revision(tmp_path: Path, tiny: Path) -> None:
    first = SentenceTransformersEncoder(str(tiny / "encoder"), revision=None, device="cpu", max_tokens=64)
    other = tiny_models.make_encoder(tmp_path / "other", seed=9)
    second = SentenceTransformersEncoder(str(other), revision=None, device="cpu", max_tokens=64)
    assert second.revision != first.revision


@pytest.mark.parametrize("faiss", ["PQ8x4", "PQ8x4,RFlat"])
def test_an_index_that_cannot_filter_is_refused_for_several_languages(tmp_path: Path, tiny: Path, faiss: str) -> None:
    with pytest.raises(ConfigError, match=rf"cannot search '{faiss}' in some languages only.*Flat, SQ8, HNSW32"):
        build(make_recipe(tmp_path, tiny, faiss=faiss))


def test_an_index_that_cannot_filter_serves_one_language(tmp_path: Path, tiny: Path) -> None:
    build(make_recipe(tmp_path, tiny, faiss="PQ8x4", lang="fi"))
    (hits,) = open_index("mixed").search(encode(tiny, ["silta"]), 5, [Lang("fi"), Lang("ko")])
    assert len(hits) == 5


def test_a_search_that_faiss_cannot_do_is_an_error_with_the_way_out(tmp_path: Path, tiny: Path) -> None:
    build(make_recipe(tmp_path, tiny, faiss="PQ8x4", lang="fi"))
    opened = open_index("mixed")
    opened.manifest.langs["ko"] = 1
    with pytest.raises(CollectionError, match=r"'mixed': FAISS cannot search its 'PQ8x4'.*`Flat` always works"):
        opened.search(encode(tiny, ["silta"]), 5, [Lang("fi")])


def test_an_index_is_restored_after_a_build_killed_between_its_renames(tmp_path: Path, tiny: Path) -> None:
    recipe = make_recipe(tmp_path, tiny)
    build(recipe)
    target = resources.built_folder() / "mixed"
    target.rename(target.with_name(".mixed.old"))
    (target.with_name(".mixed.building") / "half").mkdir(parents=True)
    with pytest.raises(CollectionError, match="already exists"):
        build(recipe)
    assert verify("mixed") == []
    assert sorted(path.name for path in target.parent.iterdir()) == [".mixed.lock", "mixed"]


def test_leftovers_of_a_build_killed_after_its_renames_are_removed(tmp_path: Path, tiny: Path) -> None:
    recipe = make_recipe(tmp_path, tiny)
    build(recipe)
    target = resources.built_folder() / "mixed"
    shutil.copytree(target, target.with_name(".mixed.old"))
    build(recipe, overwrite=True)
    assert sorted(path.name for path in target.parent.iterdir()) == [".mixed.lock", "mixed"]


def test_two_processes_do_not_build_an_index_at_once(tmp_path: Path, tiny: Path) -> None:
    recipe = make_recipe(tmp_path, tiny)
    resources.built_folder().mkdir(parents=True)
    with (
        filelock.FileLock(resources.built_folder() / ".mixed.lock"),
        pytest.raises(CollectionError, match="'mixed' is locked by another process"),
    ):
        build(recipe)
    assert build(recipe).rows == 40


def test_a_missing_library_is_reported_with_the_way_out(
    tmp_path: Path, tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)  # what importing it then raises is the real thing
    with pytest.raises(ConfigError, match=r"recipe 'mixed' needs the package 'transformers.*pip install 'qttrag\[mod"):
        build(make_recipe(tmp_path, tiny))


@pytest.mark.parametrize("name", ["passages.arrow", "vectors-00000.npy", "faiss.index"])
def test_a_changed_file_of_the_same_size_is_refused_by_name(tmp_path: Path, tiny: Path, name: str) -> None:
    build(make_recipe(tmp_path, tiny))
    path = resources.built_folder() / "mixed" / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2 : len(content) // 2 + 4] = b"\xaa\x55\xaa\x55"
    path.write_bytes(content)
    with pytest.raises(CollectionError, match=rf"{name} has changed since it was built.*--overwrite"):
        open_index("mixed")


def test_a_copied_index_is_verified_once(tmp_path: Path, tiny: Path) -> None:
    build(make_recipe(tmp_path, tiny))
    path = resources.built_folder() / "mixed" / "passages.arrow"
    written = path.stat().st_mtime_ns
    os.utime(path)
    assert open_index("mixed").manifest.rows == 40
    assert path.stat().st_mtime_ns == written
