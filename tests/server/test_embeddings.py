"""`/v1/embeddings`."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import openai
import pytest

from qttrag.encoders.sentence_transformers import SentenceTransformersKind
from qttrag.retrievers.dense import DenseRetriever
from tests import deployment
from tests.server.running import EmbeddingRetriever, Running, application, running


@pytest.fixture(scope="module")
def service() -> Iterator[Running]:
    with running(application(retriever=EmbeddingRetriever, max_embedded_texts=3, max_text_chars=50)) as up:
        yield up


def post(service: Running, **body: Any) -> httpx2.Response:
    return service.client.post("/v1/embeddings", json={"model": "encoder", "input": "abc", **body})


def refused(service: Running, **body: Any) -> tuple[int, str, str]:
    reply = post(service, **body)
    error = reply.json()["error"]
    return reply.status_code, error["code"], error["message"]


def test_a_list_has_a_vector_a_text_and_the_usage_is_counted(service: Running) -> None:
    body = post(service, input=["abc", "a b"]).json()
    assert [each["embedding"] for each in body["data"]] == [[3.0, 1.0], [3.0, 1.0]]
    assert [each["index"] for each in body["data"]] == [0, 1]
    assert body["usage"] == {"prompt_tokens": 3, "total_tokens": 3}


def test_base64_is_float32(service: Running) -> None:
    (each,) = post(service, encoding_format="base64").json()["data"]
    assert np.frombuffer(base64.b64decode(each["embedding"]), "<f4").tolist() == [3.0, 1.0]


def test_the_openai_client_reads_it(service: Running) -> None:
    client = openai.OpenAI(base_url=f"{service.url}/v1", api_key="none")
    assert client.embeddings.create(model="encoder", input=["abc"]).data[0].embedding == [3.0, 1.0]


@pytest.mark.parametrize("name", ["input_type", "prompt_name"])
def test_questions_and_passages_have_their_prefixes(service: Running, name: str) -> None:
    lengths = [
        post(service, **more).json()["data"][0]["embedding"][0] for more in ({}, {name: "query"}, {name: "passage"})
    ]
    assert lengths == [3.0, 10.0, 12.0]


def test_texts_that_are_cut_are_listed_and_count_what_is_read(service: Running) -> None:
    body = post(service, input=["a", "a b c d e f"]).json()
    assert body["qttrag"] == {"max_tokens": 4, "truncated": [1]}
    assert body["usage"]["prompt_tokens"] == 5


def test_the_name_of_a_folder_is_the_name_of_the_model(service: Running) -> None:
    assert post(service, model="small-encoder").json()["model"] == "small-encoder"
    status, code, message = refused(service, model="text-embedding-3-small")
    assert (status, code) == (404, "model_not_found")
    assert "small-encoder" in message
    assert "/srv" not in message


@pytest.mark.parametrize(
    ("body", "word"),
    [
        ({"input": []}, "at least 1 item"),
        ({"input": " "}, "is empty"),
        ({"input": [1, 2]}, "send text"),
        ({"input": [[1, 2]]}, "send text"),
        ({"input": ["a"] * 4}, "limit of 3"),
        ({"input": "a" * 51}, "limit of 50 characters"),
        ({"dimensions": 7}, "omit it"),
        ({"encoding_format": "int8"}, "encoding_format"),
        ({"input_type": "query", "prompt_name": "passage"}, "send one of them"),
    ],
)
def test_what_is_not_supported_is_named(service: Running, body: dict[str, Any], word: str) -> None:
    status, _, message = refused(service, **body)
    assert status == 422
    assert word in message


def test_a_service_without_an_encoder_says_so() -> None:
    with running(application()) as up:
        assert refused(up)[2] == "this service has no encoder"


async def test_vectors_are_those_of_the_collections(tmp_path: Path, tiny: Path) -> None:
    deployment.build(tmp_path, tiny, n=4, encoder={"query_prefix": "query: ", "passage_prefix": "passage: "})
    kind = SentenceTransformersKind(str(tiny / "encoder"), device="cpu")
    retriever = DenseRetriever(encoder=kind, collections=["mixed"])
    embedded = [(await retriever.embed(["sauna"], role)).texts[0].vector for role in ("query", "passage", None)]
    expected = [kind.load().encode([text])[0] for text in ("query: sauna", "passage: sauna", "sauna")]
    assert np.allclose(embedded, expected, atol=1e-5)
