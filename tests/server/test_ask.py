"""`/v1/ask` over a real connection."""

from __future__ import annotations

import threading
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import httpx2
import pytest

from qttrag.testing import FakeGenerator
from qttrag.types import ANSWER_TOKENS, Completion, Decoding, Message
from tests.server.running import (
    BrokenGenerator,
    BrokenOffOnce,
    DividedRetriever,
    DownTranslator,
    Running,
    SlowGenerator,
    application,
    events,
    running,
)


@pytest.fixture(scope="module")
def service() -> Iterator[Running]:
    with running(application()) as up:
        yield up


def test_an_answer_comes_with_passages_scores_and_trace(service: Running) -> None:
    answer = service.ask(strategy="qtt_rag").json()
    assert answer["answer"] == "It is Helsinki [1]."
    assert answer["lang"] == "fi"
    assert [passage["n"] for passage in answer["passages"]] == [1, 2, 3]
    foreign = [passage for passage in answer["passages"] if passage["lang"] != "fi"]
    assert all(passage["translation"] and passage["scores"]["semantic"] == 4.5 for passage in foreign)
    assert {"retrieve", "rerank", "translate", "tag", "answer"} <= set(answer["trace"]["seconds"])
    assert answer["request_id"]


def test_a_stream_brings_passages_then_pieces_then_all_of_it(service: Running) -> None:
    kinds = [kind for kind, _ in events(service.ask(stream=True).text)]
    assert kinds[:3] == ["ranked", "translated", "tagged"]
    assert kinds[-1] == "end"
    assert set(kinds[3:-1]) == {"piece"}


def test_the_pieces_of_a_stream_are_the_answer(service: Running) -> None:
    told = events(service.ask(stream=True).text)
    assert "".join(data["text"] for kind, data in told if kind == "piece") == told[-1][1]["answer"]


def test_sizes_are_the_clients_within_the_limits(service: Running) -> None:
    assert len(service.ask(top_k=2).json()["passages"]) == 2
    refused = service.ask(top_k=21)
    assert refused.status_code == 422
    assert refused.json()["error"]["message"] == "`top_k: 21` exceeds the limit of 20"


def test_a_client_chooses_the_form_of_the_answer() -> None:
    generator = FakeGenerator(lambda messages: "Se on Helsinki.")
    with running(application(generator)) as service:
        assert service.ask(answer_style="sentences").status_code == 200
    (messages, decoding) = generator.seen[-1]
    assert "Vastaa 1–3 kokonaisella virkkeellä." in messages[0]["content"]
    assert decoding.max_tokens == ANSWER_TOKENS["sentences"]


@pytest.mark.parametrize(
    ("lang", "code"), [("ko-KR", "ko"), ("KO", "ko"), ("kor", "ko"), ("zh_Hant_TW", "zh-Hant"), ("pt-BR", "pt")]
)
def test_a_language_may_be_any_tag_and_comes_back_as_its_code(service: Running, lang: str, code: str) -> None:
    assert service.ask(lang=lang).json()["lang"] == code


@pytest.mark.parametrize(
    ("body", "status", "word"),
    [
        ({"question": "hei", "lang": "ko-Latn"}, 422, "use 'ko' (Hang) for Korean"),
        ({"question": "  "}, 422, "empty"),
        ({"question": "\x1d\ufeff"}, 422, "empty"),
        ({"question": "x" * 2001}, 422, "2001 characters"),
        ({"question": "hei", "strategy": "qtt_rga"}, 422, "did you mean 'qtt_rag'"),
        ({"question": "hei", "lang": "klingon"}, 422, "klingon"),
        ({"question": "hei", "options": {"tags": "maybe"}}, 422, "tags"),
        ({"question": "hei", "topk": 3}, 422, "topk"),
        ({"question": "hei", "answer_style": "essay"}, 422, "answer_style"),
        ({"question": 5}, 422, "question"),
        ({}, 422, "question"),
    ],
)
def test_a_value_that_cannot_be_worked_with_is_named(
    service: Running, body: dict[str, object], status: int, word: str
) -> None:
    answer = service.client.post("/v1/ask", json=body)
    assert answer.status_code == status
    assert word in answer.json()["error"]["message"]


def test_a_body_that_is_not_json_is_a_bad_request(service: Running) -> None:
    answer = service.client.post("/v1/ask", content=b"{", headers={"content-type": "application/json"})
    assert answer.status_code == 400
    assert answer.json()["error"]["message"] == "the body is not JSON"


@pytest.mark.parametrize("chunked", [True, False])
def test_a_body_that_is_too_large_is_not_read_to_its_end(chunked: bool) -> None:
    with running(application(max_body_bytes=1000)) as up:
        text = b'{"question": "' + b"x" * 5000 + b'"}'
        content = iter([text]) if chunked else text
        answer = up.client.post("/v1/ask", content=content, headers={"content-type": "application/json"})
    assert answer.status_code == 413
    assert "1000 bytes" in answer.json()["error"]["message"]


def test_what_is_done_when_the_time_is_up_is_told() -> None:
    with running(application(SlowGenerator(5.0))) as up:
        answer = up.ask(deadline=0.5)
    assert answer.status_code == 504
    told = answer.json()
    assert told["error"]["code"] == "deadline"
    assert len(told["partial"]["passages"]) == 3
    assert "tag" in told["partial"]["trace"]["seconds"]


def test_whoever_comes_on_top_of_the_queue_is_told_when_to_come_again() -> None:
    with running(application(SlowGenerator(0.3), in_flight=1, queue=1)) as up, ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda n: up.ask(f"kysymys {n}"), range(8)))
    assert sorted({answer.status_code for answer in answers}) == [200, 429]
    refused = [answer for answer in answers if answer.status_code == 429]
    assert len(refused) == 6
    assert all(int(answer.headers["retry-after"]) >= 1 for answer in refused)


def test_a_client_that_leaves_takes_its_question_along() -> None:
    generator = SlowGenerator(0.2, lambda messages: "word " * 100)
    with running(application(generator)) as up:
        with pytest.raises(httpx2.TimeoutException):
            up.client.post("/v1/ask", json={"question": "hei"}, timeout=0.5)
        assert generator.given_up.wait(1.0)


def test_a_client_that_leaves_a_stream_takes_its_question_along() -> None:
    generator = SlowGenerator(0.2, lambda messages: "word " * 100)
    with running(application(generator)) as up:
        with up.client.stream("POST", "/v1/ask", json={"question": "hei", "stream": True}) as answer:
            next(answer.iter_text())
        assert generator.given_up.wait(1.0)


def test_a_generator_that_dies_in_a_stream_is_an_error_event_not_an_answer() -> None:
    with running(application(BrokenGenerator(words=2))) as up:
        told = events(up.ask(stream=True).text)
    assert told[-1][0] == "error"
    assert told[-1][1]["error"]["stage"] == "generator"
    assert "end" not in [kind for kind, _ in told]


def test_a_stage_that_is_down_is_named(service: Running) -> None:
    with running(application(BrokenGenerator(words=0, later=True))) as up:
        answer = up.ask()
    assert answer.status_code == 503
    assert answer.json()["error"]["stage"] == "generator"
    assert answer.headers["retry-after"] == "5"


def test_requests_that_are_served_at_shutdown_are_served_to_their_end() -> None:
    with running(application(SlowGenerator(0.2))) as up:
        answers: list[httpx2.Response] = []
        asking = threading.Thread(target=lambda: answers.append(up.ask()))
        asking.start()
        time.sleep(0.3)
        up.server.should_exit = True
        asking.join(10)
    assert answers[0].json()["answer"] == "yes it is"


def test_an_answer_that_begins_anew_says_so_in_the_stream() -> None:
    with running(application(BrokenOffOnce())) as up:
        told = events(up.ask(stream=True).text)
    kinds = [kind for kind, _ in told]
    assert "restarted" in kinds
    said = [data["text"] for kind, data in told[kinds.index("restarted") :] if kind == "piece"]
    assert "".join(said) == told[-1][1]["answer"] == "all of it"


def test_a_translator_that_is_down_degrades_the_answer_and_it_says_so() -> None:
    with running(application(translator=DownTranslator())) as up:
        answer = up.ask(strategy="qtt_rag").json()
        figures = up.client.get("/metrics").text
    assert answer["answer"]
    assert "translator" in answer["degraded"][0]
    assert "qttrag_answers_degraded_total 1.0" in figures


@pytest.fixture(scope="module")
def divided() -> Iterator[Running]:
    with running(application(retriever=DividedRetriever)) as up:
        yield up


@pytest.mark.parametrize("path", ["ask", "retrieve"])
def test_only_the_collections_that_a_request_names_are_searched(divided: Running, path: str) -> None:
    body = {"question": "hei", "collections": ["wiki-ko", "wiki-fi"]}
    found = divided.client.post(f"/v1/{path}", json=body).json()
    assert {passage["lang"] for passage in found["passages"]} == {"fi", "ko"}


def test_an_answer_tells_the_collections_that_were_searched(divided: Running) -> None:
    assert divided.ask(collections=["wiki-ko", "wiki-fi"]).json()["collections"] == ["wiki-fi", "wiki-ko"]
    assert divided.ask().json()["collections"] is None


@pytest.mark.parametrize("path", ["ask", "retrieve"])
@pytest.mark.parametrize(
    ("names", "words"),
    [
        (
            ["wiki-fi", "wiki-kr"],
            "unknown collection 'wiki-kr'; did you mean 'wiki-ko'? (known: wiki-en, wiki-fi,",
        ),
        ([], "`collections`: List should have at least 1 item"),
    ],
)
def test_collections_that_there_are_not_are_refused(divided: Running, path: str, names: list[str], words: str) -> None:
    answer = divided.client.post(f"/v1/{path}", json={"question": "hei", "collections": names})
    assert answer.status_code == 422
    assert words in answer.json()["error"]["message"]


def test_a_deployment_without_a_choice_of_collections_says_so(service: Running) -> None:
    answer = service.ask(collections=["wiki-fi"])
    assert answer.status_code == 422
    assert "does not let a question choose `collections`" in answer.json()["error"]["message"]


def test_the_page_learns_what_collections_there_are(divided: Running) -> None:
    assert divided.client.get("/v1/choices").json()["collections"] == ["wiki-fi", "wiki-ko", "wiki-en"]


def test_a_connection_outlives_an_unexpected_error() -> None:
    class Buggy(FakeGenerator):
        async def complete(self, messages: Sequence[Message], decoding: Decoding) -> Completion:
            raise RuntimeError("bug")

        def generate(self, messages: Sequence[Message], decoding: Decoding) -> AsyncIterator[str]:
            raise RuntimeError("bug")

    with running(application(Buggy())) as up:
        answers = [up.ask() for _ in range(3)]
    assert [(answer.status_code, answer.json()["error"]["code"]) for answer in answers] == [(500, "internal")] * 3
    assert "content-security-policy" in answers[0].headers


def test_earlier_turns_are_read_before_a_question_and_those_that_do_not_fit_are_noted() -> None:
    generator = FakeGenerator(lambda messages: "42")
    earlier = [{"role": "user", "content": "Mikä on Suomen pääkaupunki?"}, {"role": "assistant", "content": "Helsinki"}]
    with running(application(generator, max_turns=3)) as up:
        answer = up.ask("Entä Ruotsin?", earlier=[*earlier, *earlier])
    assert any("Helsinki" in str(messages) for messages, _ in generator.seen)
    assert "2 earlier turns were left out" in answer.json()["trace"]["notes"][0]
