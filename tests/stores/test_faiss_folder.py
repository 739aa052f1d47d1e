"""A built index as a vector store."""

from __future__ import annotations

from pathlib import Path

import pytest

from qttrag.errors import CollectionError
from qttrag.protocols import Prefetchable, VectorStore
from qttrag.stores.faiss_folder import FaissFolder
from tests import deployment
from tests.indexes import synthetic

VECTORS = synthetic.vectors(60)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("QTTRAG_HOME", str(tmp_path))
    return tmp_path


def test_it_opens_on_first_use() -> None:
    store: VectorStore = FaissFolder("synthetic")
    assert store.name == "synthetic"
    with pytest.raises(CollectionError, match=r"unknown index 'synthetic'"):
        store.encoder  # noqa: B018
    synthetic.index(VECTORS, "Flat")
    assert store.languages == list(synthetic.LANGS)


def test_a_path_is_named_as_its_folder() -> None:
    assert FaissFolder("/srv/indexes/two").name == "two"


def test_hits_are_those_of_the_collection() -> None:
    collection = synthetic.index(VECTORS, "Flat")
    queries = synthetic.near(VECTORS, 4)
    assert FaissFolder("synthetic").search(queries, 5, "all") == collection.search(queries, 5)
    assert FaissFolder("synthetic").search(queries, 5, synthetic.LANGS[:1]) == collection.search(
        queries, 5, synthetic.LANGS[:1]
    )


def test_the_encoder_is_the_one_of_the_build(tmp_path: Path, tiny: Path) -> None:
    deployment.build(tmp_path, tiny)
    info = FaissFolder("mixed").encoder
    assert (info.model, info.dim, info.max_tokens) == (str(tiny / "encoder"), 64, 256)
    assert (info.query_prefix, info.passage_prefix) == ("", "")


def test_equal_identities_mean_equal_passages_and_vectors() -> None:
    synthetic.index(VECTORS, "Flat")
    first = FaissFolder("synthetic").identity
    synthetic.index(VECTORS, "Flat")
    assert FaissFolder("synthetic").identity == first
    synthetic.index(VECTORS[::-1], "Flat")
    assert FaissFolder("synthetic").identity != first


def test_its_index_can_be_read_ahead() -> None:
    synthetic.index(VECTORS, "Flat")
    store = FaissFolder("synthetic")
    assert isinstance(store, Prefetchable)
    assert store.read_ahead() > 0
