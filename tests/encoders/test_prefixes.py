"""The prefixes of published encoders."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from qttrag.cli import app
from qttrag.encoders import prefixes
from qttrag.encoders.prefixes import Prefixes
from qttrag.indexes.recipe import EncoderSettings, load
from tests import deployment, tiny_causal
from tests.indexes.jobs.real_encoders import build


@pytest.mark.parametrize(
    ("model", "query", "passage"),
    [
        ("intfloat/multilingual-e5-small", "query: ", "passage: "),
        ("intfloat/e5-base-v2", "query: ", "passage: "),
        ("/models/multilingual-e5-large/", "query: ", "passage: "),
        ("Snowflake/snowflake-arctic-embed-l-v2.0", "query: ", ""),
        ("nomic-ai/nomic-embed-text-v1.5", "search_query: ", "search_document: "),
        ("google/embeddinggemma-300m", "task: search result | query: ", "title: none | text: "),
        ("jinaai/jina-embeddings-v4", "Query: ", "Passage: "),
    ],
)
def test_prefixes_are_known_by_name(model: str, query: str, passage: str) -> None:
    assert prefixes.known(model) == Prefixes(query, passage)


@pytest.mark.parametrize(
    "model",
    [
        "intfloat/multilingual-e5-large-instruct",
        "Qwen/Qwen3-Embedding-0.6B",
        "Alibaba-NLP/gte-Qwen2-1.5B-instruct",
        "BAAI/bge-multilingual-gemma2",
        "BAAI/bge-small-en-v1.5",
        "Snowflake/snowflake-arctic-embed-m-v1.5",
    ],
)
def test_instruction_encoders_have_a_prefix_for_questions_only(model: str) -> None:
    known = prefixes.known(model)
    assert known is not None
    assert known.query
    assert known.passage == ""


def test_a_model_without_prefixes_is_not_an_unknown_one() -> None:
    assert prefixes.known("BAAI/bge-m3") == Prefixes()
    assert prefixes.known("acme/my-e5-base") is None


def test_a_recipe_has_the_prefixes_of_its_model() -> None:
    settings = EncoderSettings(model="intfloat/multilingual-e5-small")
    assert (settings.query_prefix, settings.passage_prefix) == ("query: ", "passage: ")
    assert EncoderSettings(**settings.model_dump()) == settings


def test_prefixes_in_a_recipe_replace_those_of_its_model() -> None:
    settings = EncoderSettings(model="intfloat/multilingual-e5-small", query_prefix="", passage_prefix="p: ")
    assert (settings.query_prefix, settings.passage_prefix) == ("", "p: ")


def test_a_folder_declares_prefixes_for_questions(tmp_path: Path, tiny: Path) -> None:
    folder = tiny_causal.make_encoder(tmp_path / "qwen3")
    assert prefixes.declared(folder) == Prefixes(tiny_causal.QUERY_PROMPT)
    assert prefixes.declared(tiny / "encoder") is None
    assert prefixes.declared(tmp_path) is None


def findings(folder: Path, tiny: Path, encoder: Path, **settings: str) -> dict[str, Any]:
    """Build an index with an encoder in a folder of its own, and return what doctor says about it."""
    recipe = load(deployment.write_recipe(folder, tiny))
    own = EncoderSettings(model=str(encoder), device="cpu", **settings)  # type: ignore[arg-type]
    build(recipe.model_copy(update={"encoder": own}))
    retriever = {"kind": "dense", "encoder": {**deployment.encoder(tiny), "model": str(encoder)}}
    file = deployment.write_deployment(folder, tiny, retriever={**retriever, "collections": ["mixed"]})
    result = CliRunner().invoke(app, ["doctor", "-c", str(file), "--json"])
    assert result.exit_code == 0, result.output
    return {finding["what"]: finding for finding in json.loads(result.stdout)}


def test_doctor_shows_the_prefixes_of_an_index(tmp_path: Path, tiny: Path) -> None:
    encoder = shutil.copytree(tiny / "encoder", tmp_path / "multilingual-e5-small")
    shown = findings(tmp_path, tiny, encoder)["prefixes of mixed"]
    assert shown["ok"] is True
    assert shown["detail"] == "'query: ' before questions, 'passage: ' before passages"


def test_doctor_warns_of_an_index_without_the_prefixes_of_its_encoder(tmp_path: Path, tiny: Path) -> None:
    encoder = shutil.copytree(tiny / "encoder", tmp_path / "multilingual-e5-small")
    warning = findings(tmp_path, tiny, encoder, query_prefix="", passage_prefix="")["prefixes of mixed"]
    assert warning["ok"] is None
    assert "warning" in warning["detail"]
    assert "'passage: ' before passages" in warning["detail"]


def test_doctor_warns_of_an_instruction_that_only_the_models_files_declare(tmp_path: Path, tiny: Path) -> None:
    encoder = tiny_causal.make_encoder(tmp_path / "my-encoder")
    warning = findings(tmp_path, tiny, encoder)["prefixes of mixed"]
    assert "warning" in warning["detail"]
    assert "Find passages" in warning["detail"]


def test_doctor_says_nothing_where_no_prefix_is_needed(tmp_path: Path, tiny: Path) -> None:
    assert "prefixes of mixed" not in findings(tmp_path, tiny, tiny / "encoder")
