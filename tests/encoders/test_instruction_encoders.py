"""Instruction encoders like Qwen3-Embedding: query instruction, last-token pooling, padding on the left; truncation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from qttrag.encoders.openai import OpenAIKind
from qttrag.encoders.sentence_transformers import SentenceTransformersKind
from qttrag.errors import CollectionError, ConfigError, StageError
from qttrag.indexes.recipe import load
from qttrag.protocols import PassageEncoder
from qttrag.retrievers.dense import DenseRetriever
from qttrag.stores.faiss_folder import FaissFolder
from qttrag.types import Lang, Query
from tests import deployment, tiny_causal
from tests.indexes.embedding_server import EmbeddingServer
from tests.indexes.jobs.real_encoders import build
from tests.openai_client.server import Server, embeddings
from tests.texts import LANGS, paragraph, sentences

TEXTS = [text for lang in LANGS for text in sentences(lang, 6)]


@pytest.fixture(scope="module")
def qwen3(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_causal.make_encoder(tmp_path_factory.mktemp("models") / "qwen3")


@pytest.fixture(scope="module")
def reference(qwen3: Path) -> Any:
    from sentence_transformers import SentenceTransformer

    return SentenceTransformer(str(qwen3), device="cpu", local_files_only=True)


def passages(encoder: PassageEncoder, texts: list[str]) -> NDArray[np.float32]:
    return encoder.encode_prepared(encoder.prepare(encoder.tokenise(texts)))


def test_queries_equal_those_of_the_library_with_its_prompt(qwen3: Path, reference: Any) -> None:
    encoder = SentenceTransformersKind(str(qwen3), device="cpu").load()
    own = encoder.encode([tiny_causal.QUERY_PROMPT + text for text in TEXTS])
    np.testing.assert_allclose(own, reference.encode(TEXTS, prompt_name="query"), atol=2e-6)
    assert np.abs(own - reference.encode(TEXTS)).max() > 0.1  # the instruction matters


def test_passages_equal_those_of_the_library_whatever_they_are_padded_with(qwen3: Path, reference: Any) -> None:
    (encoder,) = SentenceTransformersKind(str(qwen3), device="cpu").load_for_passages()
    np.testing.assert_allclose(passages(encoder, TEXTS), reference.encode(TEXTS, batch_size=1), atol=2e-6)


def test_a_text_that_is_cut_still_ends_with_the_token_that_is_pooled(qwen3: Path, reference: Any) -> None:
    long = [paragraph(lang, 20) for lang in LANGS]
    (encoder,) = SentenceTransformersKind(str(qwen3), device="cpu", max_tokens=24).load_for_passages()
    end = reference.tokenizer.convert_tokens_to_ids("<|endoftext|>")
    assert {tokens.ids[-1] for tokens in encoder.tokenise(long)} == {end}
    reference.max_seq_length = 24
    try:
        np.testing.assert_allclose(passages(encoder, long), reference.encode(long), atol=2e-6)
    finally:
        reference.max_seq_length = 512


def test_truncated_vectors_are_the_first_dimensions_at_unit_length(qwen3: Path, reference: Any) -> None:
    kind = SentenceTransformersKind(str(qwen3), device="cpu", truncate_dim=16)
    expected = reference.encode(TEXTS)[:, :16]
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    for own in (kind.load().encode(TEXTS), passages(kind.load_for_passages()[0], TEXTS)):
        np.testing.assert_allclose(own, expected, atol=2e-6)
    assert kind.load().info.dim == 16


def test_a_server_gives_the_same_truncated_vectors(tiny: Path) -> None:
    inside = SentenceTransformersKind(str(tiny / "encoder"), device="cpu", truncate_dim=16).load()
    with EmbeddingServer(tiny / "encoder") as server:
        kind = OpenAIKind(
            str(tiny / "encoder"), base_url=server.url, served_as="acme/encoder", retries=0, truncate_dim=16
        )
        served = kind.load()
        np.testing.assert_allclose(served.encode(TEXTS), inside.encode(TEXTS), atol=1e-5)
        assert served.info.dim == 16


@pytest.mark.parametrize("dim", [0, 65])
def test_more_dimensions_than_a_model_has_are_refused(qwen3: Path, dim: int) -> None:
    with pytest.raises(ConfigError, match=rf"`truncate_dim: {dim}`: its vectors have 64 dimensions"):
        SentenceTransformersKind(str(qwen3), device="cpu", truncate_dim=dim).load()


async def test_an_index_is_searched_with_as_many_dimensions_as_it_was_built_with(tmp_path: Path, tiny: Path) -> None:
    recipe = load(deployment.write_recipe(tmp_path, tiny))
    short = recipe.encoder.model_copy(update={"truncate_dim": 16})
    manifest = build(recipe.model_copy(update={"encoder": short}))
    assert (manifest.dim, manifest.recipe["encoder"]["truncate_dim"]) == (16, 16)
    assert FaissFolder("mixed").encoder.dim == 16

    def retriever(**settings: Any) -> DenseRetriever:
        kind = SentenceTransformersKind(str(tiny / "encoder"), device="cpu", **settings)
        return DenseRetriever(encoder=kind, collections=["mixed"])

    query = Query("서울의 다리", Lang("ko"))
    assert len(await retriever(truncate_dim=16).retrieve(query, 5)) == 5
    with pytest.raises(CollectionError, match=r"16 dimensions, the deployment's encoder of 64; set .*truncate_dim"):
        await retriever().retrieve(query, 5)


def test_a_recipe_without_truncation_has_the_digest_it_always_had(tmp_path: Path, tiny: Path) -> None:
    recipe = load(deployment.write_recipe(tmp_path, tiny))
    assert "truncate_dim" not in recipe.model_dump()["encoder"]


def test_a_server_that_changes_its_model_is_noticed(tiny: Path) -> None:
    with Server(embeddings([3.0, 4.0]), embeddings([1.0, 2.0, 2.0])) as server:
        encoder = OpenAIKind(str(tiny / "encoder"), base_url=server.base_url, retries=0).load()
        with pytest.raises(StageError, match=r"invalid reply.*vectors of 3 dimensions, the first ones had 2"):
            encoder.encode(["one"])


def test_questions_survive_a_server_that_goes_down(tiny: Path) -> None:
    with EmbeddingServer(tiny / "encoder", falls=1) as falling, EmbeddingServer(tiny / "encoder") as steady:
        urls = [falling.url, steady.url]
        kind = OpenAIKind(str(tiny / "encoder"), base_url=urls, served_as="acme/encoder", batch=4, retries=3)
        encoder = kind.load()
        vectors = [encoder.encode([text]) for text in TEXTS[:10]]
    inside = SentenceTransformersKind(str(tiny / "encoder"), device="cpu").load()
    np.testing.assert_allclose(np.concatenate(vectors), inside.encode(TEXTS[:10]), atol=1e-5)
