"""What every store does alike: a built index in a folder, in Milvus and in Qdrant."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from qttrag.errors import CollectionError
from qttrag.indexes.collection import Collection
from qttrag.protocols import VectorStore
from qttrag.stores.database import SearchSettings
from qttrag.stores.export import export
from qttrag.stores.faiss_folder import FaissFolder
from qttrag.types import Hit, Lang, Passage, Place
from tests.indexes import synthetic
from tests.stores import databases

VECTORS = synthetic.vectors(60)
STORES = ("faiss_folder", *databases.KINDS)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def index(home: Path) -> Collection:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("QTTRAG_HOME", str(home))
        return synthetic.index(VECTORS, "Flat")


@pytest.fixture(scope="module")
def stores(home: Path, index: Collection) -> dict[str, VectorStore]:
    """Return a store of each kind with the passages of the index."""
    folder = str(home / "indexes" / "built" / "synthetic")
    made: dict[str, VectorStore] = {"faiss_folder": FaissFolder(folder)}
    for kind in databases.KINDS:
        made[kind] = databases.store(kind, home)
        export(folder, databases.store(kind, home))
    return made


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest, stores: dict[str, VectorStore]) -> VectorStore:
    return stores[request.param]


def ids(results: list[list[Hit]]) -> list[list[str]]:
    return [[hit.passage.passage_id for hit in hits] for hits in results]


def test_hits_are_those_of_an_exact_search(store: VectorStore, index: Collection) -> None:
    queries = synthetic.near(VECTORS, 8)
    found, exact = store.search(queries, 10, "all"), index.search(queries, 10)
    assert [[hit.passage for hit in hits] for hits in found] == [[hit.passage for hit in hits] for hits in exact]
    assert [hit.score for hit in found[0]] == pytest.approx([hit.score for hit in exact[0]], abs=1e-6)


@pytest.mark.parametrize("languages", [synthetic.LANGS[:1], synthetic.LANGS[1:3]])
def test_only_passages_in_the_languages_are_hits(
    store: VectorStore, index: Collection, languages: tuple[Lang, ...]
) -> None:
    queries = synthetic.near(VECTORS, 3)
    found = store.search(queries, 12, languages)
    assert ids(found) == ids(index.search(queries, 12, languages))
    assert {hit.passage.lang for hits in found for hit in hits} == set(languages)


def test_a_language_without_passages_has_no_hits(store: VectorStore) -> None:
    assert store.search(synthetic.near(VECTORS, 2), 5, [Lang("th")]) == [[], []]


def test_more_hits_than_passages_are_all_passages(store: VectorStore) -> None:
    (hits,) = store.search(VECTORS[:1], 100, "all")
    assert len({hit.passage.passage_id for hit in hits}) == len(hits) == 60


def test_hits_of_a_query_do_not_depend_on_other_queries(store: VectorStore) -> None:
    queries = synthetic.near(VECTORS, 6)
    together = store.search(queries, 5, "all")
    assert ids(together) == [ids(store.search(query[None], 5, "all"))[0] for query in queries]


def test_languages_and_encoder_are_those_of_the_index(store: VectorStore, index: Collection) -> None:
    assert set(store.languages) == set(index.manifest.langs)
    assert (store.encoder.model, store.encoder.revision, store.encoder.dim) == ("synthetic", "none", 64)


def test_the_identity_names_the_kind_and_stays_the_same(store: VectorStore, request: pytest.FixtureRequest) -> None:
    kind = request.node.callspec.params["store"]
    assert store.identity.startswith(f"{kind}:")
    assert store.identity == store.identity


@pytest.mark.parametrize("kind", STORES)
def test_a_missing_collection_is_named_with_the_command_that_makes_it(
    kind: str, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QTTRAG_HOME", str(tmp_path))
    store = FaissFolder("wiki-th") if kind == "faiss_folder" else databases.store(kind, home, "wiki-th")
    with pytest.raises(CollectionError, match=r"'wiki-th'.*qttrag index (build|export) wiki-th"):
        store.search(VECTORS[:1], 1, "all")


@pytest.mark.parametrize("kind", databases.KINDS)
def test_a_passage_keeps_its_title_and_its_place_in_a_document(kind: str, home: Path) -> None:
    database = databases.store(kind, home).database
    passages = [
        Passage(
            "보고서.pdf#0", "다리는 1950년에 열렸다.", Lang("ko"), "보고서", Place("보고서.pdf", 3, ("제1장", "다리"))
        ),
        Passage("b", "Silta on vanha.", Lang("fi"), place=Place("b.txt")),
        Passage("c", "A bridge.", Lang("en")),
    ]
    database.create("places", 64, "{}", rows=3)
    database.upsert("places", passages, VECTORS[:3])
    (hits,) = database.search("places", VECTORS[:1], SearchSettings(3, "all", None, database.index))
    assert sorted((hit.passage for hit in hits), key=lambda p: p.passage_id) == [passages[1], passages[2], passages[0]]


def test_equal_scores_come_in_the_order_of_ids(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QTTRAG_HOME", str(tmp_path))
    equal = np.repeat(synthetic.vectors(1), 20, axis=0)
    synthetic.index(equal, "Flat", name="equal")
    expected = [f"p{row:04d}" for row in range(5)]
    for kind in databases.KINDS:
        store = databases.store(kind, home, "equal")
        export("equal", store)
        assert ids(store.search(equal[:1], 5, "all")) == [expected]
