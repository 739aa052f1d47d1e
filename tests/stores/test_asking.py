"""Questions to a deployment whose only collection is in a store; the machine that answers has no index folder."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from qttrag.application.application import Application
from qttrag.cli import app
from qttrag.config.deployment import load
from qttrag.evaluation.runs.provenance import search_digest
from qttrag.indexes.jobs.remove import remove
from qttrag.stores.export import export
from qttrag.types import Answer, AskRequest
from tests import deployment
from tests.stores import databases

QUESTION = "서울 시에서 가장 오래된 다리는 언제 개통되었는가?"


async def answer(folder: Path, tiny: Path, collection: object) -> Answer:
    retriever = {"kind": "dense", "encoder": deployment.encoder(tiny), "collections": [collection]}
    path = deployment.write_deployment(folder, tiny, retriever=retriever)
    async with Application.open(path) as application:
        return await application.ask(AskRequest(QUESTION, strategy="base"))


@pytest.mark.parametrize("kind", databases.KINDS)
async def test_a_store_gives_the_answer_of_the_index_that_was_exported(
    kind: str, tmp_path: Path, tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QTTRAG_HOME", str(tmp_path / "builder"))
    deployment.build(tmp_path, tiny, n=20)
    built = await answer(tmp_path, tiny, "mixed")
    store = databases.store(kind, tmp_path, "mixed")
    export("mixed", store)
    monkeypatch.setenv("QTTRAG_HOME", str(tmp_path / "server"))
    settings = {"kind": kind, "collection": "mixed", "url": store.place}
    asked = await answer(tmp_path, tiny, settings)
    assert [p.passage for p in asked.context] == [p.passage for p in built.context]
    assert [p.score for p in asked.context] == pytest.approx([p.score for p in built.context])
    assert asked.text == built.text


def test_rankings_of_an_earlier_version_in_a_store_are_not_used_again(
    tmp_path: Path, tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QTTRAG_HOME", str(tmp_path))
    deployment.build(tmp_path, tiny, n=4)
    store = databases.store("milvus", tmp_path, "mixed")
    export("mixed", store)
    settings = {"kind": "milvus", "collection": "mixed", "url": store.place}
    retriever = {"kind": "dense", "encoder": deployment.encoder(tiny), "collections": [settings]}
    loaded = load(deployment.write_deployment(tmp_path, tiny, retriever=retriever))
    before = search_digest(loaded)
    assert search_digest(loaded) == before
    remove("mixed", ["en-0"])
    export("mixed", store)
    assert search_digest(loaded) != before


def test_doctor_opens_the_stores_of_a_deployment(tmp_path: Path, tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QTTRAG_HOME", str(tmp_path))
    settings = {"kind": "milvus", "collection": "mixed", "url": str(tmp_path / "milvus.db")}
    retriever = {"kind": "dense", "encoder": deployment.encoder(tiny), "collections": [settings]}
    path = deployment.write_deployment(tmp_path, tiny, retriever=retriever)
    shown = json.loads(CliRunner().invoke(app, ["doctor", "--config", str(path), "--json"]).stdout)
    (finding,) = [each for each in shown if each["what"] == "store of mixed"]
    assert not finding["ok"]
    assert "has no collection 'mixed'" in finding["detail"]
