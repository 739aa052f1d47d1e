"""Chats as clients really send them: long ones, pictures, tools, nulls, and questions of one word."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, get_type_hints

import httpx2
import pytest
from openai.types.chat.completion_create_params import CompletionCreateParamsBase

from qttrag.detectors.script import ScriptDetector
from qttrag.server.chat_parameters import DECIDED
from qttrag.server.chat_request import ChatRequest
from qttrag.testing import FakeGenerator
from tests.server.running import Running, application, events, running

ASKED = {"role": "user", "content": "Mikä on Suomen pääkaupunki?"}
PICTURE = {"type": "image_url", "image_url": {"url": "data:,"}}


def rewritten(messages: Any) -> str:
    return "Mikä on Suomen väkiluku?"


@pytest.fixture(scope="module")
def service() -> Iterator[Running]:
    with running(application(max_turns=6, max_text_chars=100)) as up:
        yield up


def send(up: Running, *messages: Any, **more: Any) -> httpx2.Response:
    return up.client.post("/v1/chat/completions", json={"model": "base", "messages": [*messages], **more})


def notes_of(reply: httpx2.Response) -> list[str]:
    assert reply.status_code == 200, reply.text
    found: list[str] = reply.json()["qttrag"]["trace"]["notes"]
    return found


# earlier turns


def said(n: int) -> list[dict[str, Any]]:
    return [{"role": ("user", "assistant")[k % 2], "content": f"vuoro {k}"} for k in range(n)]


def test_of_a_long_chat_the_newest_turns_are_read() -> None:
    generator = FakeGenerator(rewritten)
    with running(application(generator, max_turns=6)) as up:
        notes = notes_of(send(up, *said(60), ASKED))
    assert notes == ["55 earlier turns were left out: only the newest 6 messages are read"]
    prompt = generator.seen[0][0][1]["content"]
    assert "vuoro 55" in prompt
    assert "vuoro 54" not in prompt


def test_a_long_chat_is_answered_with_the_limits_of_a_new_deployment() -> None:
    with running(application()) as up:
        assert notes_of(send(up, *said(120), ASKED)) == [
            "71 earlier turns were left out: only the newest 50 messages are read"
        ]


def test_turns_that_do_not_fit_into_the_generators_context_are_left_out() -> None:
    generator = FakeGenerator(rewritten, context=600)
    turns = [{"role": "user", "content": f"vuoro {k} " + "sana " * 60} for k in range(20)]
    with running(application(generator)) as up:
        (note,) = notes_of(send(up, *turns, ASKED, max_tokens=20))
    assert note.endswith("earlier turns were left out: the generator's context has no room for more")
    assert 0 < int(note.split()[0]) < 20
    assert "vuoro 19" in generator.seen[0][0][1]["content"]
    assert "vuoro 0 " not in generator.seen[0][0][1]["content"]


EARLIER = {
    "longer than 100 characters": {"role": "user", "content": "x" * 101},
    "no text, but image_url": {"role": "user", "content": [PICTURE]},
    "no text, but input_audio": {"role": "user", "content": [{"type": "input_audio", "input_audio": {}}]},
    "no text, but tool_calls": {"role": "assistant", "content": None, "tool_calls": [{"id": "1"}]},
    "no text, but refusal": {"role": "assistant", "content": [{"type": "refusal", "refusal": "no"}]},
    "no text": {"role": "user", "content": None},
    "the role 'tool' is not read": {"role": "tool", "content": "42", "tool_call_id": "1"},
}
MORE_EARLIER = [
    ("no text", {"role": "assistant"}),
    ("no text", {"role": "user", "content": " \n"}),
    ("no text", {"role": "user", "content": [{"type": "text", "text": None}]}),
    ("no text, but refusal", {"role": "assistant", "content": None, "refusal": "I cannot."}),
    ("no text, but audio", {"role": "assistant", "content": None, "audio": {"id": "1"}}),
    ("no text, but file", {"role": "user", "content": [{"type": "file", "file": {}}]}),
    ("no text, but dict", {"role": "user", "content": {"text": "hei"}}),
    ("no text, but int", {"role": "user", "content": [5]}),
    ("the role 'critic' is not read", {"role": "critic", "content": "hei"}),
]


@pytest.mark.parametrize(("why", "turn"), [*EARLIER.items(), *MORE_EARLIER])
@pytest.mark.parametrize("stream", [False, True])
def test_an_earlier_turn_that_cannot_be_read_is_left_out_with_a_note(
    service: Running, why: str, turn: Any, stream: bool
) -> None:
    reply = send(service, turn, ASKED, stream=stream)
    if stream:
        (last,) = [data["qttrag"] for _, data in events(reply.text) if "qttrag" in data]
        assert last["trace"]["notes"] == [f"1 earlier turn was left out: {why}"]
        assert last["answer"] == "It is Helsinki [1]."
    else:
        assert notes_of(reply) == [f"1 earlier turn was left out: {why}"]


def test_the_text_beside_a_picture_in_an_earlier_turn_is_read() -> None:
    generator = FakeGenerator(rewritten)
    turn = {"role": "user", "content": [PICTURE, {"type": "text", "text": "Mikä tämä on?"}]}
    with running(application(generator)) as up:
        assert notes_of(send(up, turn, ASKED)) == ["1 earlier turn was read without image_url"]
    assert "Mikä tämä on?" in generator.seen[0][0][1]["content"]


def test_a_system_message_is_no_turn(service: Running) -> None:
    assert notes_of(send(service, {"role": "system", "content": "Be brief. " * 50}, ASKED)) == []


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ([PICTURE], "image_url"),
        ([{"type": "text", "text": "Mikä?"}, PICTURE], "image_url"),
        ("x" * 2001, "2001 characters"),
    ],
)
def test_a_question_that_cannot_be_read_is_refused(service: Running, content: Any, words: str) -> None:
    reply = send(service, ASKED, {"role": "assistant", "content": "Helsinki"}, {"role": "user", "content": content})
    assert reply.status_code == 422
    assert words in reply.json()["error"]["message"]


def test_parts_without_text_do_not_hide_the_question(service: Running) -> None:
    parts = [{"type": "text", "text": None}, {"type": "text", "text": "Mikä on"}, {"type": "text", "text": "Helsinki?"}]
    reply = send(service, {"role": "user", "content": parts})
    assert reply.json()["qttrag"]["question"] == "Mikä on Helsinki?"


def test_the_limit_of_the_answer_does_not_cut_the_rewritten_question() -> None:
    generator = FakeGenerator(rewritten)
    with running(application(generator)) as up:
        send(up, *said(2), ASKED, max_tokens=3)
    assert [decoding.max_tokens for _, decoding in generator.seen] == [128, 3]


@pytest.mark.parametrize("reply", ["", "sana " * 500])
def test_a_rewritten_question_that_cannot_be_asked_is_not_used(reply: str) -> None:
    with running(application(FakeGenerator(lambda messages: reply))) as up:
        body = send(up, *said(2), ASKED).json()["qttrag"]
    assert body["question"] == ASKED["content"]
    assert any("searched as it stands" in note for note in body["trace"]["notes"])


# language


@pytest.mark.parametrize("question", ["Nokia?", "EUR", "1990?", "👍"])
def test_a_question_that_does_not_tell_its_language_is_in_that_of_the_turns_before(question: str) -> None:
    served = replace(application(FakeGenerator(lambda messages: question)), detector=ScriptDetector())
    before = {"role": "user", "content": "핀란드에서 가장 큰 회사는 어디입니까?"}
    answer = {"role": "assistant", "content": "Nokia is the largest company of Finland."}
    with running(served) as up:
        reply = send(up, before, answer, {"role": "user", "content": question})
        assert reply.json()["qttrag"]["lang"] == "ko"
        alone = send(up, {"role": "user", "content": question}, lang="fi")
        assert alone.json()["qttrag"]["lang"] == "fi"


# parameters


@pytest.mark.parametrize(
    "more",
    [
        {"tool_choice": "none"},
        {"tool_choice": "auto"},
        {"tools": [{"type": "function", "function": {"name": "f"}}], "tool_choice": "none"},
        {"functions": [{"name": "f"}], "function_call": "none"},
        {"tools": []},
        {"modalities": ["text"]},
        {"stream": None},
        {"stream_options": None},
        {"stream_options": {"include_usage": None, "include_obfuscation": False}},
        {"max_tokens": -1},
        {"max_completion_tokens": -1, "max_tokens": 5},
        {"n": 1},
        {"response_format": {"type": "text"}},
        {"logprobs": False, "top_logprobs": 0},
        {"stop": []},
        {"logit_bias": {}},
        {"temperature": 0.7, "top_p": 0.9, "seed": 1, "presence_penalty": 0.1, "frequency_penalty": 0.1},
        {"reasoning_effort": "low", "verbosity": "low", "store": True, "metadata": {"a": "b"}, "user": "u"},
        {"service_tier": "auto", "parallel_tool_calls": True, "prompt_cache_key": "k", "safety_identifier": "s"},
        {"prediction": {"type": "content", "content": "Helsinki"}},
        {"some_new_field": 1},
        {name: None for name in get_type_hints(CompletionCreateParamsBase) if name not in ("model", "messages")},
    ],
    ids=str,
)
def test_a_parameter_that_changes_nothing_is_accepted(service: Running, more: dict[str, Any]) -> None:
    reply = send(service, ASKED, **more)
    assert reply.status_code == 200, reply.text
    assert reply.json()["choices"][0]["message"]["content"] == "It is Helsinki [1]."


@pytest.mark.parametrize(
    "more",
    [
        {"n": 2},
        {"n": 0},
        {"tools": [{"type": "function", "function": {"name": "f"}}]},
        {"tool_choice": "required"},
        {"tool_choice": {"type": "function", "function": {"name": "f"}}},
        {"functions": [{"name": "f"}]},
        {"function_call": {"name": "f"}},
        {"modalities": ["text", "audio"]},
        {"audio": {"voice": "alloy", "format": "wav"}},
        {"response_format": {"type": "json_object"}},
        {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": {}}}},
        {"logprobs": True},
        {"top_logprobs": 2},
        {"stop": ["\n"]},
        {"logit_bias": {"50256": -100}},
        {"moderation": {"model": "omni"}},
        {"web_search_options": {"search_context_size": "low"}},
        {"max_tokens": 0},
        {"max_completion_tokens": -2},
        {"lang": "klingon"},
    ],
    ids=str,
)
def test_a_parameter_that_would_change_the_answer_is_refused_by_name(service: Running, more: dict[str, Any]) -> None:
    reply = send(service, ASKED, **more)
    assert reply.status_code == 422
    name = next(iter(more))
    assert reply.json()["error"]["param"] == name
    assert f"`{name}" in reply.json()["error"]["message"]


def test_every_parameter_that_openai_publishes_is_decided() -> None:
    published = set(get_type_hints(CompletionCreateParamsBase)) | {"stream"}
    assert published <= DECIDED | ChatRequest.model_fields.keys()
