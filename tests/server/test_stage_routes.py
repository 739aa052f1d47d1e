"""The stages alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from qttrag.detectors.script import ScriptDetector
from qttrag.testing import FakeTranslator
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


def test_translate_takes_tags_of_languages(service: Running) -> None:
    made = service.client.post("/v1/translate", json={"texts": ["hei"], "source": "fin", "target": "ko-KR"}).json()
    assert made["translations"] == [{"text": "ko<hei>", "source": "fi", "flags": []}]


def test_tag_gives_a_verdict_a_pair(service: Running) -> None:
    pairs = [{"original": "hei", "translation": "안녕"}]
    (verdict,) = service.client.post("/v1/tag", json={"pairs": pairs, "target": "ko"}).json()["verdicts"]
    assert verdict == {
        "scores": {"semantic": 4.5, "grammar": 4.0, "fluency": 3.5},
        "unscored": None,
        "critical_errors": [],
    }


@pytest.fixture(scope="module")
def detecting() -> Iterator[Running]:
    """A service with a real detector and a translator that does not support Thai."""
    fakes = application(translator=FakeTranslator(unsupported={"th", "und"}))
    with running(replace(fakes, detector=ScriptDetector())) as up:
        yield up


def test_a_text_in_an_unsupported_language_is_returned_with_a_flag_among_translations(detecting: Running) -> None:
    texts = ["The bridge was opened long ago.", "สะพานนี้เก่าแก่มาก"]
    made = detecting.client.post("/v1/translate", json={"texts": texts, "target": "ko"}).json()
    assert [each["flags"] for each in made["translations"]] == [[], ["unsupported"]]
    assert made["translations"][1]["text"] == texts[1]
    assert made["trace"]["counts"]["translate.unsupported_language"] == 1
    assert made["trace"]["notes"] == [
        "texts are returned unchanged, because the translator does not support Thai (th) to Korean (ko)"
    ]


def test_a_pair_whose_original_has_no_letters_is_unscored_among_scored_ones(detecting: Running) -> None:
    pairs = [{"original": "1903", "translation": "1903"}, {"original": "The old bridge.", "translation": "다리."}]
    made = detecting.client.post("/v1/tag", json={"pairs": pairs, "target": "ko"}).json()
    assert [verdict["unscored"] for verdict in made["verdicts"]] == ["unsupported", None]


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


def test_the_error_about_an_unknown_language_names_no_command(service: Running) -> None:
    reply = service.client.post("/v1/translate", json={"texts": ["hei"], "target": "xx"})
    assert reply.status_code == 422
    message = reply.json()["error"]["message"]
    assert "unknown language 'xx'" in message
    assert "qttrag" not in message
