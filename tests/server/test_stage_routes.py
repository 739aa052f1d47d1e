"""The stages alone."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.server.running import Running, application, running


@pytest.fixture(scope="module")
def service() -> Iterator[Running]:
    with running(application(max_texts=2, max_text_chars=50)) as up:
        yield up


def test_retrieve_gives_ranked_passages(service: Running) -> None:
    found = service.client.post("/v1/retrieve", json={"question": "Mikä on pääkaupunki?", "top_k": 2}).json()
    assert [passage["n"] for passage in found["passages"]] == [1, 2]
    assert found["lang"] == "fi"


def test_translate_gives_a_translation_a_text(service: Running) -> None:
    made = service.client.post("/v1/translate", json={"texts": ["hei", "moi"], "target": "ko"}).json()
    assert [each["text"] for each in made["translations"]] == ["ko<hei>", "ko<moi>"]
    assert made["translations"][0]["source"] == "fi"


def test_tag_gives_a_verdict_a_pair(service: Running) -> None:
    pairs = [{"original": "hei", "translation": "안녕"}]
    (verdict,) = service.client.post("/v1/tag", json={"pairs": pairs, "target": "ko"}).json()["verdicts"]
    assert verdict == {
        "scores": {"semantic": 4.5, "grammar": 4.0, "fluency": 3.5},
        "unscored": None,
        "critical_errors": [],
    }


def test_rerank_speaks_as_cohere_and_jina_do(service: Running) -> None:
    body = {"model": "m", "query": "hei", "documents": ["a long document", {"text": "short"}], "top_n": 1, "x": 1}
    made = service.client.post("/v1/rerank", json={**body, "return_documents": True}).json()
    assert made["results"][0]["index"] == 1
    assert made["results"][0]["document"] == {"text": "short"}
    assert len(made["results"]) == 1


@pytest.mark.parametrize(
    ("path", "body", "word"),
    [
        ("translate", {"texts": ["a"] * 3, "target": "ko"}, "3 texts"),
        ("translate", {"texts": ["a" * 51], "target": "ko"}, "50 characters"),
        ("translate", {"texts": ["a"], "target": "xx"}, "xx"),
        ("translate", {"texts": [], "target": "ko"}, "texts"),
        ("tag", {"pairs": [{"original": "", "translation": "x"}], "target": "ko"}, "pairs.0.original"),
    ],
)
def test_limits_are_told(service: Running, path: str, body: dict[str, object], word: str) -> None:
    answer = service.client.post(f"/v1/{path}", json=body)
    assert answer.status_code == 422
    assert word in answer.json()["error"]["message"]
