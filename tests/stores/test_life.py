"""The life of a collection in each store: built, exported, asked, changed, and asked again after a restart."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from qttrag.application.application import Application
from qttrag.indexes.jobs.append import recipe_for_file
from qttrag.indexes.jobs.remove import remove
from qttrag.stores.export import export
from qttrag.types import Answer, AskRequest, Lang, Passage, Query
from tests import deployment
from tests.indexes.jobs.real_encoders import append
from tests.stores import databases

QUESTION = "서울 시에서 가장 오래된 다리는 언제 개통되었는가?"
NEW, REMOVED = "en-new#0", "en-0#0"
STORES = ("faiss_folder", *databases.KINDS)


class Asked(NamedTuple):
    """Two answers, and the passages that a search of all returns, by id."""

    base: Answer
    qtt_rag: Answer
    found: list[str]


class Life(NamedTuple):
    """`before`: after the build and the export. `after`: after an append and a removal, by a new application."""

    before: Asked
    after: Asked


async def asked(folder: Path, tiny: Path, collection: Any) -> Asked:
    retriever = {"kind": "dense", "encoder": deployment.encoder(tiny), "collections": [collection]}
    path = deployment.write_deployment(folder, tiny, retriever=retriever, cache={"enabled": False})
    async with Application.open(path) as application:
        base, qtt_rag = [await application.ask(AskRequest(QUESTION, strategy=name)) for name in ("base", "qtt_rag")]
        hits = await application.stages.retriever.retrieve(Query("A new passage.", Lang("en")), 50)
    return Asked(base, qtt_rag, sorted(hit.passage.passage_id for hit in hits))


def change(folder: Path) -> None:
    """Append a passage and remove one."""
    record = {"id": "en-new", "title": "", "text": "A new passage.", "lang": "en"}
    file = folder / "new.jsonl"
    file.write_text(json.dumps(record), encoding="utf-8")
    append(deployment.RECIPE, recipe_for_file(deployment.RECIPE, file))
    remove(deployment.RECIPE, [REMOVED])


@pytest.fixture(scope="module")
def homes(tmp_path_factory: pytest.TempPathFactory, tiny: Path) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("life")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("QTTRAG_HOME", str(folder))
        deployment.build(folder, tiny, n=8)
        for kind in databases.KINDS:
            export(deployment.RECIPE, databases.store(kind, folder, deployment.RECIPE))
        yield folder


@pytest.fixture(scope="module")
def lives(homes: Path, tiny: Path) -> dict[str, Life]:
    where: dict[str, Any] = {"faiss_folder": deployment.RECIPE}
    for kind in databases.KINDS:
        url = databases.store(kind, homes, deployment.RECIPE).place
        where[kind] = {"kind": kind, "collection": deployment.RECIPE, "url": url}
    before = {kind: asyncio.run(asked(homes, tiny, where[kind])) for kind in STORES}
    change(homes)
    for kind in databases.KINDS:
        export(deployment.RECIPE, databases.store(kind, homes, deployment.RECIPE), update=True)
    return {kind: Life(before[kind], asyncio.run(asked(homes, tiny, where[kind]))) for kind in STORES}


@pytest.fixture(params=STORES)
def life(request: pytest.FixtureRequest, lives: dict[str, Life]) -> Life:
    return lives[request.param]


def read(answer: Answer) -> list[Passage]:
    return [each.passage for each in answer.context]


def test_the_passages_that_are_read_are_those_of_the_folder(life: Life, lives: dict[str, Life]) -> None:
    folder = lives["faiss_folder"]
    for one, other in ((life.before, folder.before), (life.after, folder.after)):
        assert read(one.base) == read(other.base)
        assert read(one.qtt_rag) == read(other.qtt_rag)


def test_passages_in_other_languages_are_translated(life: Life) -> None:
    context = life.before.qtt_rag.context
    assert {each.passage.lang for each in context} - {"ko"}
    assert all((each.translation is None) == (each.passage.lang == "ko") for each in context)


def test_an_appended_passage_is_found_and_a_removed_one_is_not(life: Life) -> None:
    assert REMOVED in life.before.found
    assert NEW not in life.before.found
    assert set(life.after.found) == {*life.before.found, NEW} - {REMOVED}
