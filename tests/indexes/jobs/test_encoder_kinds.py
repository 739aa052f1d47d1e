"""A recipe whose encoder is of a kind that another package adds."""

from __future__ import annotations

import asyncio
import hashlib
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from numpy.typing import NDArray

from qttrag.application import registry
from qttrag.application.factory import open_encoder
from qttrag.errors import ConfigError
from qttrag.indexes.collection import find
from qttrag.indexes.recipe import load
from qttrag.protocols import PassageEncoder, QueryEncoder
from qttrag.retrievers.dense import DenseRetriever
from qttrag.types import EncoderInfo, Lang, Prepared, Query, Tokens
from tests import deployment
from tests.indexes.jobs.real_encoders import build

DIM = 256


class HashingKind:
    """A kind of a third party: a vector counts the words of a text by their hash."""

    batch_tokens = 4096
    batch_texts = None

    def __init__(self, model: str, *, max_tokens: int = 256) -> None:
        self._info = EncoderInfo(model, "1", DIM, max_tokens)

    def load(self) -> QueryEncoder:
        return HashingEncoder(self._info)

    def load_for_passages(self) -> list[PassageEncoder]:
        return [HashingEncoder(self._info)]


class HashingEncoder:
    device = "cpu"

    def __init__(self, info: EncoderInfo) -> None:
        self.info = info

    def lengths(self, texts: Sequence[str]) -> list[int]:
        return [len(text.split()) for text in texts]

    def tokenise(self, texts: Sequence[str]) -> list[Tokens]:
        return [Tokens(text, [_number(word) for word in text.split()], cut=False) for text in texts]

    def prepare(self, tokens: Sequence[Tokens]) -> Prepared:
        return Prepared({"ids": [text.ids for text in tokens]})

    def encode_prepared(self, prepared: Prepared) -> NDArray[np.float32]:
        vectors = np.array([np.bincount(ids, minlength=DIM) for ids in prepared.features["ids"]], np.float32)
        unit: NDArray[np.float32] = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        return unit

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return self.encode_prepared(self.prepare(self.tokenise(texts)))


def _number(word: str) -> int:
    return hashlib.sha256(word.encode()).digest()[0]


@pytest.fixture
def recipe(tmp_path: Path, tiny: Path) -> Path:
    path = deployment.write_recipe(tmp_path, tiny)
    settings = {**yaml.safe_load(path.read_text()), "encoder": {"kind": "hashing", "model": "words"}}
    path.write_text(yaml.safe_dump(settings))
    return path


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Install a package whose entry point is the kind of this module."""
    package = tmp_path / "packages" / "hashing-1.0.dist-info"
    package.mkdir(parents=True)
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: hashing\nVersion: 1.0\n")
    (package / "entry_points.txt").write_text(f"[qttrag.encoder]\nhashing = {__name__}:HashingKind\n")
    monkeypatch.setattr(sys, "path", [str(package.parent), *sys.path])
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
