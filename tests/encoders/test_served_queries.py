"""Queries that are encoded by a server."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from qttrag.application.application import Application
from qttrag.config import deployment as config
from qttrag.encoders.concurrent import ConcurrentEncoder
from qttrag.encoders.openai import OpenAIKind
from qttrag.encoders.sentence_transformers import SentenceTransformersKind
from qttrag.errors import ConfigError, StageError, StageUnavailable
from qttrag.indexes import recipe as recipes
from qttrag.retrievers.dense import DenseRetriever
from qttrag.types import Lang, Query
from tests import deployment
from tests.indexes.embedding_server import EmbeddingServer
from tests.indexes.jobs.real_encoders import build
from tests.texts import LANGS, sentences


def served(tiny: Path, server: EmbeddingServer, **settings: Any) -> OpenAIKind:
    return OpenAIKind(str(tiny / "encoder"), base_url=server.url, served_as="acme/encoder", retries=0, **settings)


async def test_a_server_finds_what_the_same_model_finds_in_process(tmp_path: Path, tiny: Path) -> None:
    deployment.build(tmp_path, tiny)
    local = SentenceTransformersKind(str(tiny / "encoder"), device="cpu")
    queries = [Query(text, Lang(lang)) for lang in LANGS for text in sentences(lang, 4)]
    with EmbeddingServer(tiny / "encoder") as server:
        remote = DenseRetriever(encoder=served(tiny, server), collections=["mixed"])
        hits = await asyncio.gather(*(remote.retrieve(query, 5) for query in queries))
    inside = DenseRetriever(encoder=local, collections=["mixed"])
    for query, from_server in zip(queries, hits, strict=True):
        expected = await inside.retrieve(query, 5)
        assert [hit.passage for hit in from_server] == [hit.passage for hit in expected]
        assert [hit.score for hit in from_server] == pytest.approx([hit.score for hit in expected], abs=1e-5)


def test_a_batch_is_split_into_requests_of_the_size_that_a_server_takes(tiny: Path) -> None:
    texts = sentences("en", 10)
    with EmbeddingServer(tiny / "encoder", largest=4) as server:
        encoder = served(tiny, server, batch=4, in_flight=2).load()
        vectors = encoder.encode(texts)
        assert sorted(len(asked) for asked in server.asked) == [1, 2, 4, 4]  # the first to learn the dimension
    local = SentenceTransformersKind(str(tiny / "encoder"), device="cpu").load()
    assert np.allclose(vectors, local.encode(texts), atol=1e-5)
    assert encoder.info.revision == local.info.revision


async def test_concurrent_questions_are_encoded_side_by_side_as_far_as_the_limit_allows(tiny: Path) -> None:
    with EmbeddingServer(tiny / "encoder", at_once=2) as server:
        encoder = ConcurrentEncoder(served(tiny, server, in_flight=2).load(), batch_tokens=1 << 20)
        first = asyncio.create_task(encoder.encode(["one"]))
        await asyncio.sleep(0.05)
        await asyncio.wait_for(asyncio.gather(encoder.encode(["two"]), first), 10)
        assert server.asked[1:] == [["one"], ["two"]]  # neither was answered before both had arrived


TASKS: dict[str, Any] = {
    "query_fields": {"task": "retrieval.query"},
    "passage_fields": {"task": "retrieval.passage", "late_chunking": False},
}


def test_requests_for_queries_and_passages_have_their_own_fields(tiny: Path) -> None:
    with EmbeddingServer(tiny / "encoder") as server:
        kind = served(tiny, server, **TASKS)
        kind.load().encode(["Turku"])
        assert server.fields == 2 * [TASKS["query_fields"]]
        (passages, *_) = kind.load_for_passages()
        passages.encode_prepared(passages.prepare(passages.tokenise(["Turku"])))
        assert server.fields[2:] == 2 * [TASKS["passage_fields"]]


def test_a_recipe_sends_the_fields_of_passages(tmp_path: Path, tiny: Path) -> None:
    path = deployment.write_recipe(tmp_path, tiny, n=4)
    with EmbeddingServer(tiny / "encoder") as server:
        servers = {"urls": [server.url], "model": "acme/encoder"}
        settings = yaml.safe_load(path.read_text())
        settings["encoder"] = {"model": str(tiny / "encoder"), "servers": servers, **TASKS}
        path.write_text(yaml.safe_dump(settings))
        recipe = recipes.load(path)
        build(recipe)
        assert server.fields
        assert all(fields == TASKS["passage_fields"] for fields in server.fields)
    other = recipe.encoder.model_copy(update={"passage_fields": {}})
    assert recipe.digest != recipe.model_copy(update={"encoder": other}).digest


def test_a_field_that_every_request_has_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"`query_fields: \{input: ...\}`: requests have it anyway"):
        OpenAIKind("m", base_url="http://h/v1", query_fields={"input": "x"})


def test_lengths_are_counted_while_texts_are_cut(tiny: Path) -> None:
    texts = sentences("en", 10)
    with EmbeddingServer(tiny / "encoder") as server:
        encoder = served(tiny, server, max_tokens=8).load()
        counting = threading.Thread(target=lambda: [encoder.lengths(texts) for _ in range(50)])
        counting.start()
        for _ in range(5):
            encoder.encode(texts)
        counting.join()
        assert max(encoder.lengths(texts)) == 8
        sent = [text for asked in server.asked[1:] for text in asked]
        assert len(sent) == 5 * len(texts)
        assert set(sent) == set(sent[: len(texts)])  # cut alike each time


async def test_a_server_that_is_down_is_named_when_the_first_question_comes(tmp_path: Path, tiny: Path) -> None:
    deployment.build(tmp_path, tiny)
    encoder = {"kind": "openai", "model": str(tiny / "encoder"), "base_url": "http://127.0.0.1:9/v1", "retries": 0}
    path = deployment.write_deployment(
        tmp_path, tiny, retriever={"kind": "dense", "encoder": encoder, "collections": ["mixed"]}
    )
    async with Application.open(config.load(path)) as application:
        with pytest.raises(StageError, match=r"retriever: http://127\.0\.0\.1:9/v1 .*cannot be reached.*`base_url:`"):
            await application.ask("서울의 다리는 언제 개통되었는가?")


async def test_questions_that_wait_for_a_server_that_is_down_fail_together(tmp_path: Path, tiny: Path) -> None:
    """They would otherwise be tried one after another, each with all its retries."""
    deployment.build(tmp_path, tiny)
    with EmbeddingServer(tiny / "encoder", falls=1) as server:  # it answers once, to learn the dimension
        remote = DenseRetriever(encoder=served(tiny, server), collections=["mixed"])
        await remote.start()
        questions = [Query(text, Lang("en")) for text in sentences("en", 12)]
        failed = await asyncio.gather(*(remote.retrieve(each, 5) for each in questions), return_exceptions=True)
        assert {type(error) for error in failed} == {StageUnavailable}
        assert server.refused <= 2  # the first question, and all others in one request


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"base_url": []}, r"`base_url: \[\]`: give http"),
        ({"base_url": "host:80"}, r"`base_url: host:80`: give http"),
        ({"batch": 0}, r"`batch: 0` and"),
        ({"timeout": 0.0}, r"`timeout: 0` above 0"),
    ],
)
def test_wrong_settings_are_refused(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        OpenAIKind("m", **{"base_url": "http://host/v1", **settings})
