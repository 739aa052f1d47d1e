"""Databases that are down, slow, locked or not installed, and what becomes of questions."""

from __future__ import annotations

import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from milvus_lite.adapter.grpc.server import start_server_in_thread

from qttrag.application import factory, registry
from qttrag.errors import ConfigError, StageUnavailable
from qttrag.stores.export import export
from qttrag.stores.milvus import milvus
from qttrag.stores.qdrant import qdrant
from qttrag.stores.versioned import VersionedCollection
from tests.indexes import synthetic
from tests.stores import databases

VECTORS = synthetic.vectors(20)
SERVED = ("milvus", "qdrant")


def served(kind: str, port: int, *, timeout: int = 1) -> VersionedCollection:
    url = f"http://127.0.0.1:{port}"
    made = milvus if kind == "milvus" else qdrant
    return made(collection="synthetic", url=url, timeout=timeout)


@contextmanager
def silent_server() -> Iterator[int]:
    """Yield the port of a server that accepts connections and never answers."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listening:
        kept: list[socket.socket] = []

        def accept() -> None:
            while True:
                try:
                    kept.append(listening.accept()[0])
                except OSError:
                    return

        threading.Thread(target=accept, daemon=True).start()
        yield listening.getsockname()[1]
        for connection in kept:
            connection.close()


def free_port() -> int:
    with closing(socket.create_server(("127.0.0.1", 0))) as listening:
        return int(listening.getsockname()[1])


@pytest.mark.parametrize("kind", SERVED)
def test_a_store_that_is_down_is_unavailable_and_its_address_stays_private(kind: str) -> None:
    port = free_port()
    with pytest.raises(
        StageUnavailable, match=rf"retriever: {kind} at http://127.0.0.1:{port}.*check that it runs"
    ) as e:
        served(kind, port).search(VECTORS[:1], 1, "all")
    assert str(port) not in e.value.public
    assert e.value.public == "the retriever is unavailable at present; try again later"


@pytest.mark.parametrize("kind", SERVED)
def test_a_store_that_does_not_answer_is_unavailable_after_its_timeout(kind: str) -> None:
    with silent_server() as port:
        start = time.perf_counter()
        with pytest.raises(StageUnavailable, match=r"raise `timeout: 1`"):
            served(kind, port).search(VECTORS[:1], 1, "all")
        assert time.perf_counter() - start < 8


def test_a_store_is_connected_again_after_its_server_was_restarted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QTTRAG_HOME", str(tmp_path))
    synthetic.index(VECTORS, "Flat")
    store = served("milvus", port := free_port())
    server, database, _ = start_server_in_thread(data_dir=str(tmp_path / "data.db"), host="127.0.0.1", port=port)
    export("synthetic", store)
    before = store.search(VECTORS[:1], 5, "all")
    server.stop(grace=0).wait()
    database.close()
    with pytest.raises(StageUnavailable):
        store.search(VECTORS[:1], 5, "all")
    server, database, _ = start_server_in_thread(data_dir=str(tmp_path / "data.db"), host="127.0.0.1", port=port)
    assert store.search(VECTORS[:1], 5, "all") == before
    server.stop(grace=0).wait()
    database.close()


@pytest.mark.parametrize(
    ("kind", "package"), [("milvus", "pymilvus"), ("milvus", "milvus_lite"), ("qdrant", "qdrant_client")]
)
def test_a_package_that_is_not_installed_is_named_with_its_extra(
    kind: str, package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ConfigError, match=rf"'{package}', which is not installed; pip install 'qttrag\[{kind}\]'"):
        databases.store(kind, tmp_path).search(VECTORS[:1], 1, "all")


def test_settings_of_the_kinds_are_listed_without_their_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    for package in ("pymilvus", "milvus_lite", "qdrant_client"):
        monkeypatch.setitem(sys.modules, package, None)
    for kind in databases.KINDS:
        assert "collection" in {setting.name for setting in factory.settings_of(registry.resolve("store", kind))}


@pytest.mark.parametrize("kind", SERVED)
def test_a_key_in_the_url_is_refused(kind: str) -> None:
    with pytest.raises(ConfigError, match=r"`url:` contains a key; set it in (MILVUS_TOKEN|QDRANT_API_KEY)"):
        factory.open_store({"kind": kind, "collection": "a", "url": "http://root:secret@db:19530"})


def test_an_index_that_milvus_lite_does_not_have_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"unknown index of milvus-lite 'DISKANN' \(known: FLAT, HNSW, "):
        milvus(collection="a", url=str(tmp_path / "a.db"), index="DISKANN")


def test_a_file_of_milvus_lite_needs_its_ending(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"give http://HOST:PORT, or a file \*\.db"):
        milvus(collection="a", url=str(tmp_path / "a"))
