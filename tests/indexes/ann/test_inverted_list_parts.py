"""An inverted file filled in parts equals one filled in one go, also after an interruption."""

from __future__ import annotations

import functools
import resource
from itertools import pairwise
from pathlib import Path
from typing import Any

import faiss
import pytest
import yaml

from qttrag import resources
from qttrag.indexes import collection as search
from qttrag.indexes.ann import first_stage
from qttrag.indexes.ann.inverted_list_parts import InvertedListParts, extend, part_files
from qttrag.indexes.jobs.index_job import Progress
from qttrag.indexes.recipe import Recipe, load
from qttrag.indexes.storage.workspace import BuildWorkspace
from tests import deployment
from tests.indexes import synthetic
from tests.indexes.jobs.real_encoders import build

VECTORS = synthetic.vectors(2000, 32, clusters=100)
ENDS = range(0, 2001, 250)
FACTORIES = ["RR32,IVF16,RaBitQ", "IVF16_HNSW4,SQ8", "OPQ8_32,IVF16,PQ8x4"]


class Stop(Exception):
    pass


@functools.cache
def _trained(factory: str) -> Any:
    index = faiss.index_factory(32, factory, faiss.METRIC_INNER_PRODUCT)
    index.train(VECTORS)
    return faiss.serialize_index(index)


def trained(factory: str) -> Any:
    """Return an empty index, the same each time; training OPQ takes seconds."""
    return faiss.deserialize_index(_trained(factory))


def fill(index: Any, parts: InvertedListParts | None = None, *, until: int = 2000) -> None:
    """Add the vectors that are not in the index yet, in parts of 500."""
    for start, end in pairwise(ENDS):
        if index.ntotal <= start < until:
            index.add(VECTORS[start:end])
            if parts is not None and index.ntotal - parts.rows >= 500:
                parts.write_part()


@functools.cache
def whole(factory: str) -> bytes:
    index = trained(factory)
    fill(index)
    return written(index)


def written(index: Any) -> bytes:
    return faiss.serialize_index(index).tobytes()


@pytest.mark.parametrize("factory", FACTORIES)
@pytest.mark.parametrize("until", [0, 250, 500, 1250, 2000])
def test_an_index_filled_in_parts_equals_one_filled_in_one_go(factory: str, until: int, tmp_path: Path) -> None:
    broken = trained(factory)
    fill(broken, InvertedListParts(broken, tmp_path / "lists", ENDS), until=until)
    index = trained(factory)
    parts = InvertedListParts(index, tmp_path / "lists", ENDS)
    assert index.ntotal == parts.rows == until - until % 500
    fill(index, parts)
    parts.join()
    assert written(index) == whole(factory)


@pytest.mark.parametrize("damage", ["cut", "gone", "of another index", "no end"])
def test_parts_from_the_first_damaged_one_on_are_deleted(damage: str, tmp_path: Path) -> None:
    files = tmp_path / "lists"
    index = trained(FACTORIES[0])
    fill(index, InvertedListParts(index, files, ENDS))
    bad = part_files(files)[1]
    if damage == "cut":
        bad.write_bytes(bad.read_bytes()[:-1])
    elif damage == "gone":
        bad.unlink()
    elif damage == "of another index":
        other = trained("IVF16,SQ8")
        fill(other, InvertedListParts(other, tmp_path / "others", ENDS))
        part_files(tmp_path / "others")[1].replace(bad)
    index = trained(FACTORIES[0])
    parts = InvertedListParts(index, files, [500, 1500, 2000] if damage == "no end" else ENDS)
    assert index.ntotal == 500
    assert part_files(files) == [tmp_path / "lists-00000"]
    fill(index, parts)
    parts.join()
    assert written(index) == whole(FACTORIES[0])


@pytest.mark.parametrize("factory", FACTORIES)
def test_an_extended_index_equals_one_filled_in_one_go(factory: str, tmp_path: Path) -> None:
    index = trained(factory)
    fill(index, until=1000)
    faiss.write_index(index, str(tmp_path / "base"))
    index = faiss.read_index(str(tmp_path / "base"), faiss.IO_FLAG_MMAP_IFC)
    extend(index, [VECTORS[start:end] for start, end in pairwise(ENDS) if start >= 1000])
    assert written(index) == whole(factory)


@pytest.mark.parametrize(
    "factory",
    [
        *("Flat", "HNSW8", "RR32,RaBitQ", "IVF16,PQ8x4fs", "IVF16,FlatPanorama8", "IVF16,FlatDedup"),
        *("IVF16,SQ8,RFlat", "IDMap,IVF16,SQ8"),
    ],
)
def test_indexes_with_other_parts_than_lists_are_not_filled_in_parts(factory: str) -> None:
    assert not first_stage.has_plain_lists(faiss.index_factory(32, factory))


def test_a_part_that_does_not_fit_on_the_disk_is_not_used(tmp_path: Path) -> None:
    index = trained(FACTORIES[0])
    parts = InvertedListParts(index, tmp_path / "lists", ENDS)
    fill(index)
    parts.write_part()
    size, files = part_files(tmp_path / "lists")[0].stat().st_size, resource.getrlimit(resource.RLIMIT_FSIZE)
    again = trained(FACTORIES[0])
    parts = InvertedListParts(again, tmp_path / "others", ENDS)
    fill(again)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size - 1, files[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            parts.write_part()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, files)
    assert part_files(tmp_path / "others") == []
    parts.write_part()
    parts.join()
    assert written(again) == whole(FACTORIES[0])


@pytest.fixture
def recipe(tmp_path: Path, tiny: Path, monkeypatch: pytest.MonkeyPatch) -> Recipe:
    monkeypatch.setenv("QTTRAG_HOME", str(tmp_path))
    path = deployment.write_recipe(tmp_path, tiny, n=200)
    path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), "shard_rows": 30, "faiss": "IVF4,Flat"}))
    return load(path)


def test_a_build_interrupted_while_it_adds_resumes_after_its_last_part(recipe: Recipe) -> None:
    told: list[Progress] = []

    def stop(progress: Progress) -> None:
        if progress.step == "add" and progress.passages > 120:
            raise Stop

    with pytest.raises(Stop):
        build(recipe, progress=stop, list_part_rows=60)
    parts = BuildWorkspace(resources.built_folder() / "mixed").list_parts
    assert len(part_files(parts)) == 2
    build(recipe, progress=told.append, list_part_rows=60)
    assert [progress.passages for progress in told if progress.step == "add"] == [150, 180, 200]
    assert search.verify("mixed") == []
    made = search.find("mixed").folder / "faiss.index"
    in_parts = made.read_bytes()
    build(recipe, overwrite=True, list_part_rows=10_000)
    assert made.read_bytes() == in_parts
    assert sorted(path.name for path in resources.built_folder().iterdir()) == [".mixed.lock", "mixed"]
