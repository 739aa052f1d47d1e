"""Writing built indexes into databases: new versions, interruptions, changes in place, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import stamina
from numpy.typing import NDArray

from qttrag.errors import CollectionError, ConfigError, InputError, StageUnavailable
from qttrag.indexes.collection import Collection, open_index
from qttrag.indexes.jobs.append import recipe_for_file
from qttrag.indexes.jobs.compact import compact
from qttrag.indexes.jobs.remove import remove
from qttrag.indexes.jobs.tune import sample_passages
from qttrag.stores.export import export
from qttrag.stores.milvus import MilvusDatabase
from qttrag.stores.recall import measure
from qttrag.stores.versioned import VersionedCollection, versions_of
from qttrag.types import Hit, Passage, TokenWeights
from tests import deployment
from tests.indexes import synthetic
from tests.indexes.jobs.real_encoders import append
from tests.stores import databases

VECTORS = synthetic.vectors(60)
QUERIES = synthetic.near(VECTORS, 4)
kinds = pytest.mark.parametrize("kind", databases.KINDS)


@pytest.fixture(autouse=True)
def _once() -> Any:
    with stamina.set_testing(True, attempts=1):
        yield


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("QTTRAG_HOME", str(tmp_path))
    return tmp_path


def ids(store: Any) -> list[list[str]]:
    found: list[list[Hit]] = store.search(QUERIES, 10, "all")
    return [[hit.passage.passage_id for hit in hits] for hits in found]


def versions(store: VersionedCollection) -> list[str]:
    return sorted(versions_of(store.name, store.database.collections()))


def built(vectors: synthetic.Floats = VECTORS, name: str = "synthetic") -> Collection:
    return synthetic.index(vectors, "Flat", name=name, shard_rows=20)


class Dying(MilvusDatabase):
    """A database whose `upsert` is refused after some calls, as if the process had been killed there."""

    calls_left = 0

    def upsert(
        self,
        version: str,
        passages: Sequence[Passage],
        vectors: NDArray[np.float32],
        weights: TokenWeights | None = None,
    ) -> None:
        if self.calls_left == 0:
            raise StageUnavailable("retriever", "killed")
        self.calls_left -= 1
        self.passages = [*getattr(self, "passages", []), *passages]
        super().upsert(version, passages, vectors, weights)


def dying(folder: Path, calls: int) -> tuple[VersionedCollection, Dying]:
    options: dict[str, Any] = {"index": "HNSW", "options": {"M": 16, "efConstruction": 200}, "effort": None}
    database = Dying(str(folder / "milvus.db"), "", "MILVUS_TOKEN", 10.0, **options)
    database.calls_left = calls
    return VersionedCollection("synthetic", database), database


@kinds
def test_a_new_version_replaces_the_earlier_one_for_open_readers(kind: str, folder: Path) -> None:
    built()
    reader = databases.store(kind, folder)
    export("synthetic", databases.store(kind, folder))
    before = ids(reader)
    collection = built(VECTORS[::-1].copy())
    export("synthetic", databases.store(kind, folder))
    assert ids(reader) == ids(collection) != before
    assert versions(reader) == ["qttrag_synthetic_V2"]


@kinds
def test_an_unchanged_index_is_not_written_again(kind: str, folder: Path) -> None:
    built()
    store = databases.store(kind, folder)
    first = export("synthetic", store)
    assert export("synthetic", store) == first
    assert versions(store) == ["qttrag_synthetic_V1"]


def test_other_index_settings_make_a_new_version(folder: Path) -> None:
    built()
    export("synthetic", databases.store("milvus", folder))
    from qttrag.stores.milvus import milvus

    flat = milvus(collection="synthetic", url=str(folder / "milvus.db"), index="FLAT")
    assert export("synthetic", flat).index == {"kind": "FLAT"}
    assert versions(flat) == ["qttrag_synthetic_V2"]


def test_readers_see_the_earlier_version_until_the_new_one_is_complete(folder: Path) -> None:
    built()
    reader = databases.store("milvus", folder)
    export("synthetic", reader)
    before = ids(reader)
    built(VECTORS[::-1].copy())
    store, _ = dying(folder, 2)
    with pytest.raises(StageUnavailable):
        export("synthetic", store)
    assert ids(reader) == ids(databases.store("milvus", folder)) == before


def test_an_interrupted_export_resumes_after_the_last_complete_shard(folder: Path) -> None:
    collection = built()
    store, _ = dying(folder, 2)
    with pytest.raises(StageUnavailable):
        export("synthetic", store)
    assert store.published() is None
    store, again = dying(folder, -1)
    export("synthetic", store)
    assert [passage.passage_id for passage in again.passages] == [f"p{row:04d}" for row in range(40, 60)]
    assert ids(store) == ids(collection)


def test_an_interrupted_export_of_other_passages_is_discarded(folder: Path) -> None:
    built()
    store, _ = dying(folder, 2)
    with pytest.raises(StageUnavailable):
        export("synthetic", store)
    collection = built(VECTORS[::-1].copy())
    export("synthetic", databases.store("milvus", folder))
    assert ids(databases.store("milvus", folder)) == ids(collection)
    assert len(versions(store)) == 1


@kinds
def test_removed_passages_are_deleted_in_place(kind: str, folder: Path) -> None:
    built()
    store = databases.store(kind, folder)
    export("synthetic", store)
    remove("synthetic", ["p0003", "p0041"], what="passages")
    manifest = export("synthetic", store, update=True)
    assert (manifest.rows, manifest.langs) == (58, open_index("synthetic").manifest.langs)
    fresh = databases.store(kind, folder)
    assert ids(fresh) == ids(open_index("synthetic"))
    assert versions(store) == ["qttrag_synthetic_V1"]


def test_removed_passages_are_not_exported(folder: Path) -> None:
    built()
    remove("synthetic", [f"p{row:04d}" for row in range(20, 40)], what="passages")
    store = databases.store("milvus", folder)
    assert export("synthetic", store).rows == 40
    assert ids(store) == ids(open_index("synthetic"))


def test_a_compacted_index_is_not_updated_in_place(folder: Path) -> None:
    built()
    store = databases.store("milvus", folder)
    export("synthetic", store)
    remove("synthetic", ["p0003"], what="passages")
    compact("synthetic")
    with pytest.raises(CollectionError, match=r"was compacted or built again.*export it without --update"):
        export("synthetic", store, update=True)


def test_there_is_nothing_to_update_before_the_first_export(folder: Path) -> None:
    built()
    with pytest.raises(CollectionError, match="no collection 'synthetic' to update"):
        export("synthetic", databases.store("milvus", folder), update=True)


def test_names_that_differ_only_in_hyphens_do_not_overwrite_each_other(folder: Path) -> None:
    built(name="a-b")
    export("a-b", databases.store("milvus", folder, "a-b"))
    built(name="a_b")
    with pytest.raises(CollectionError, match="holds 'a-b', not 'a_b'"):
        export("a_b", databases.store("milvus", folder, "a_b"))


def test_a_text_longer_than_milvus_stores_is_named(folder: Path) -> None:
    from qttrag.types import Lang

    store = databases.store("milvus", folder)
    with pytest.raises(InputError, match=r"passage 'a': its text has 70,000 bytes, Milvus stores 65,535"):
        store.database.upsert("v", [Passage("a", "x" * 70_000, Lang("en"))], VECTORS[:1])


@kinds
def test_the_recall_is_measured_and_kept_in_the_store(kind: str, folder: Path) -> None:
    collection = built()
    store = databases.store(kind, folder)
    export("synthetic", store)
    measured, trials = measure(store, collection, sample_passages(collection, 20), target=0.98, k=10)
    assert measured.recall == trials[-1].recall == 1.0
    assert databases.store(kind, folder).manifest.tuned == measured
    assert (measured.effort is None) == (kind == "qdrant")  # whose local mode searches exactly


def test_the_recall_of_other_passages_is_not_measured(folder: Path) -> None:
    built()
    store = databases.store("milvus", folder)
    export("synthetic", store)
    collection = built(VECTORS[::-1].copy())
    with pytest.raises(CollectionError, match="has not the passages of index 'synthetic'; export it again"):
        measure(store, collection, sample_passages(collection, 5), target=0.98, k=10)


def test_an_address_names_kind_place_and_settings() -> None:
    from qttrag.application.store_addresses import settings_at

    assert settings_at("milvus+https://db:443?index=IVF_FLAT&index_options.nlist=64&timeout=5", "a") == {
        "kind": "milvus",
        "collection": "a",
        "url": "https://db:443",
        "index": "IVF_FLAT",
        "index_options": {"nlist": 64},
        "timeout": 5,
    }
    assert settings_at("qdrant:./folder", "a") == {"kind": "qdrant", "collection": "a", "url": "./folder"}
    assert settings_at("milvus:", "a") == {"kind": "milvus", "collection": "a"}


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("milvos://db:1", r"unknown store kind 'milvos'; did you mean 'milvus'"),
        ("milvus://db:1?indx=FLAT", r"unknown setting of store kind 'milvus': 'indx'; did you mean 'index'"),
        ("wiki", "is no address of a database"),
    ],
)
def test_a_wrong_address_is_explained(address: str, message: str) -> None:
    from qttrag.application.store_addresses import store_at

    with pytest.raises(ConfigError, match=message):
        store_at(address, "a")


def test_appended_and_replaced_passages_are_stored_in_place(folder: Path, tiny: Path) -> None:
    deployment.build(folder, tiny, n=8)
    store = databases.store("milvus", folder, "mixed")
    export("mixed", store)
    new = [{"id": "new-1", "title": "", "text": "A bridge.", "lang": "en"}]
    replaced = [{"id": "en-0", "title": "", "text": "Another bridge.", "lang": "en"}]
    file = folder / "new.jsonl"
    file.write_text("".join(json.dumps(record) + "\n" for record in new + replaced))
    append("mixed", recipe_for_file("mixed", file), replace=True)
    export("mixed", store, update=True)
    index = open_index("mixed")
    vectors = index.vectors.take(np.arange(len(index.vectors)))
    found = databases.store("milvus", folder, "mixed").search(vectors, 20, "all")
    assert [[hit.passage for hit in hits] for hits in found] == [
        [hit.passage for hit in hits] for hits in index.search(vectors, 20)
    ]
    assert "Another bridge." in {hit.passage.text for hit in found[0]}
    assert versions(store) == ["qttrag_mixed_V1"]
