"""A recipe whose encoder is of a kind that another package adds."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from qttrag.application import registry
from qttrag.application.factory import open_encoder
from qttrag.errors import ConfigError
from qttrag.indexes.collection import find
from qttrag.indexes.recipe import load
from qttrag.retrievers.dense import DenseRetriever
from qttrag.types import Lang, Query
from tests import deployment
from tests.indexes.hashing_encoder import DIM, HashingKind, install
from tests.indexes.jobs.real_encoders import build


@pytest.fixture
def recipe(tmp_path: Path, tiny: Path) -> Path:
    path = deployment.write_recipe(tmp_path, tiny)
    settings = {**yaml.safe_load(path.read_text()), "encoder": {"kind": "hashing", "model": "words"}}
    path.write_text(yaml.safe_dump(settings))
    return path


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Install a package whose entry point is the kind of this module."""
    monkeypatch.setattr(sys, "path", [str(install(tmp_path / "packages")), *sys.path])
    registry.kinds.cache_clear()
    yield
    registry.kinds.cache_clear()


@pytest.mark.usefixtures("installed")
def test_an_index_is_built_and_searched_with_an_encoder_of_another_package(recipe: Path) -> None:
    manifest = build(load(recipe))
    assert (manifest.dim, manifest.encoder_revision) == (DIM, "1")
    assert manifest.recipe["encoder"]["kind"] == "hashing"
    retriever = DenseRetriever(encoder=HashingKind("words"), collections=["mixed"])
    hits = asyncio.run(retriever.retrieve(Query("kirjasto", Lang("fi")), 3))
    assert len(hits) == 3


def test_an_unknown_kind_is_named_with_those_that_are_known(recipe: Path) -> None:
    with pytest.raises(ConfigError, match=r"unknown encoder kind 'hashing'.*known: openai, sentence_transformers"):
        build(load(recipe))


def test_a_recipe_without_a_kind_has_the_manifest_and_digest_of_earlier_versions(tmp_path: Path, tiny: Path) -> None:
    recipe = load(deployment.write_recipe(tmp_path, tiny))
    build(recipe)
    assert "kind" not in find("mixed").manifest.recipe["encoder"]
    assert recipe.digest == find("mixed").manifest.recipe_digest


def test_servers_make_the_kind_openai(tmp_path: Path, tiny: Path) -> None:
    from qttrag.encoders.openai import OpenAIKind
    from qttrag.encoders.sentence_transformers import SentenceTransformersKind

    settings: Any = load(deployment.write_recipe(tmp_path, tiny)).encoder
    assert isinstance(open_encoder(settings), SentenceTransformersKind)
    servers = settings.servers.model_copy(update={"urls": ["http://one/v1"]})
    assert isinstance(open_encoder(settings.model_copy(update={"servers": servers})), OpenAIKind)
