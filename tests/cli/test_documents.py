"""`qttrag index build FOLDER`, and the places of passages in answers."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from rich.console import Console
from typer.testing import CliRunner, Result

from qttrag.application import registry
from qttrag.application.document_recipes import folder_recipe
from qttrag.cli import app
from qttrag.cli.ask import evidence, passage_table
from qttrag.config.deployment import Deployment
from qttrag.errors import ConfigError
from qttrag.trace import Trace
from qttrag.types import Answer, Citations, Lang, Passage, Place, Query, TaggedPassage
from tests.indexes.hashing_encoder import MODEL, install

RETRIEVER = {"kind": "dense", "encoder": {"kind": "hashing", "model": MODEL}, "collections": ["my-files"]}


def run(*words: str) -> Result:
    return CliRunner().invoke(app, ["index", *words])


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of documents beside a deployment whose encoder needs no model."""
    monkeypatch.setattr(sys, "path", [str(install(tmp_path / "packages")), *sys.path])
    registry.kinds.cache_clear()
    deployment = {"retriever": RETRIEVER, "generator": {"kind": "openai"}}
    (tmp_path / "my.yaml").write_text(yaml.safe_dump(deployment))
    folder = tmp_path / "My files"
    folder.mkdir()
    (folder / "a.txt").write_text("The bridge of Turku was opened in 1903.")
    (folder / "b.pdf").write_text("no pdf")
    yield folder
    registry.kinds.cache_clear()


def test_a_folder_becomes_an_index_of_its_name_with_a_table_of_its_files(folder: Path) -> None:
    config = str(folder.parent / "my.yaml")
    first = run("build", str(folder), "-c", config)
    assert first.exit_code == 0, first.output
    assert "2 documents: 1 indexed, 0 unchanged, 0 removed, 1 failed" in first.output
    assert "it does not begin with %PDF- (broken)" in " ".join(first.output.split())
    again = run("build", str(folder), "-c", config, "--json")
    states = {document["name"]: document["state"] for document in json.loads(again.output)["documents"]}
    assert states == {"a.txt": "unchanged", "b.pdf": "failed"}
    assert json.loads(run("info", "my-files", "--json").output)["recipe"]["encoder"]["model"] == MODEL


def test_a_folder_without_readable_files_is_an_error_after_the_table(folder: Path) -> None:
    (folder / "a.txt").unlink()
    result = run("build", str(folder), "-c", str(folder.parent / "my.yaml"))
    assert result.exit_code != 0
    assert "1 document: 0 indexed" in result.output


@pytest.mark.parametrize(
    ("encoder", "expected"),
    [
        (
            {"kind": "openai", "base_url": "http://e/v1", "model": "m", "served_as": "s", "batch": 4},
            ("http://e/v1", "s"),
        ),
        ({"kind": "sentence_transformers", "model": "m"}, None),
    ],
)
def test_a_folder_is_encoded_as_the_deployment_encodes_questions(
    encoder: dict[str, object], expected: tuple[str, str] | None
) -> None:
    nested = {"kind": "hybrid", "first": {"kind": "dense", "encoder": encoder}, "second": {"kind": "bm25"}}
    settings = folder_recipe(Path("/x/Some Files"), Deployment(retriever=nested, generator={"kind": "fake"}))
    servers = settings.encoder.servers
    assert (settings.name, settings.encoder.model) == ("some-files", "m")
    assert ((servers.urls[0], servers.model) if servers.urls else None) == expected


def test_a_deployment_without_an_encoder_cannot_encode_documents() -> None:
    deployment = Deployment(retriever={"kind": "bm25", "collections": ["x"]}, generator={"kind": "fake"})
    with pytest.raises(ConfigError, match="no `encoder:`"):
        folder_recipe(Path("/x/files"), deployment)


def test_answers_show_the_file_and_the_page_of_passages() -> None:
    of_page = Passage("r.pdf#0", "Text.", Lang("en"), "Report", Place("r.pdf", 3, ("Costs",)))
    of_record = Passage("1#0", "Text.", Lang("en"), "Record")
    context = (TaggedPassage(of_page), TaggedPassage(of_record))
    query = Query("?", Lang("en"))
    answer = Answer(query, "Yes [1, 2].", Lang("en"), context, Trace(), citations=Citations((1, 2), "marked"))
    assert evidence(answer) == "cited: 1 (r.pdf, page 3), 2"
    console = Console(width=200, record=True, file=None)
    with console.capture() as capture:
        console.print(passage_table(context))
    assert "r.pdf, page 3" in capture.get()
