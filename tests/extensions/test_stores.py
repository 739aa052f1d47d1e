"""A vector store of another package is one class, registered by an entry point."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from qttrag.application.application import Application
from qttrag.stores.faiss_folder import FaissFolder
from qttrag.types import Answer, AskRequest
from tests import deployment

QUESTION = "서울 시에서 가장 오래된 다리는 언제 개통되었는가?"


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QTTRAG_HOME", str(tmp_path))


def copy_to_sqlite(store: FaissFolder, path: Path) -> None:
    collection = store.collection
    vectors = collection.vectors.take(np.arange(len(collection.vectors))).astype(np.float32)
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE info (json)")
        database.execute("CREATE TABLE passages (id, text, lang, title, vector)")
        database.execute("INSERT INTO info VALUES (?)", [json.dumps(asdict(store.encoder))])
        for row, vector in enumerate(vectors):
            p = collection.passages[row]
            values = [p.passage_id, p.text, p.lang, p.title, vector.tobytes()]
            database.execute("INSERT INTO passages VALUES (?, ?, ?, ?, ?)", values)


async def answer(folder: Path, tiny: Path, collection: object) -> Answer:
    retriever = {"kind": "dense", "encoder": deployment.encoder(tiny), "collections": [collection]}
    path = deployment.write_deployment(folder, tiny, retriever=retriever)
    async with Application.open(path) as application:
        return await application.ask(AskRequest(QUESTION, strategy="base"))


async def test_it_is_searched_like_a_built_index(tmp_path: Path, tiny: Path) -> None:
    deployment.build(tmp_path, tiny)
    copy_to_sqlite(FaissFolder("mixed"), tmp_path / "copy.sqlite")
    built = await answer(tmp_path, tiny, "mixed")
    copied = await answer(tmp_path, tiny, {"kind": "sqlite", "path": str(tmp_path / "copy.sqlite")})
    assert [p.passage for p in copied.context] == [p.passage for p in built.context]
    assert [p.score for p in copied.context] == pytest.approx([p.score for p in built.context])
    assert copied.text == built.text
