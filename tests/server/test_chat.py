"""qttrag as a model, asked with the real OpenAI client."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import openai
import pytest
from openai.types.chat import ChatCompletionMessageParam

from qttrag.generators.cached import CachedGenerator
from qttrag.generators.openai import OpenAIGenerator
from qttrag.runtime.cache import Cache
from qttrag.testing import FakeGenerator
from tests.openai_client.server import Server, text_reply
from tests.server.running import BrokenGenerator, BrokenOffOnce, DividedRetriever, Running, application, running

ASKED: list[ChatCompletionMessageParam] = [{"role": "user", "content": "Mikä on pääkaupunki?"}]


def client_of(up: Running) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{up.url}/v1", api_key="none", max_retries=0)


@pytest.fixture(scope="module")
def client() -> Iterator[openai.OpenAI]:
    with running(application()) as up:
        yield client_of(up)


def test_strategies_are_the_models(client: openai.OpenAI) -> None:
    names = [model.id for model in client.models.list()]
    assert {"qtt_rag", "base", "cross_rag"} <= set(names)
    assert client.models.retrieve("base").id == "base"


def test_an_answer_is_a_completion(client: openai.OpenAI) -> None:
    made = client.chat.completions.create(model="qtt_rag", messages=ASKED)
    assert made.choices[0].message.content == "It is Helsinki [1]."
    assert made.choices[0].finish_reason == "stop"
    assert made.model_extra is not None
    assert made.model_extra["qttrag"]["passages"][0]["n"] == 1


def test_a_stream_brings_the_answer_the_passages_and_usage(client: openai.OpenAI) -> None:
    stream = client.chat.completions.create(
        model="base", messages=ASKED, stream=True, stream_options={"include_usage": True}
    )
    chunks = list(stream)
    assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == "It is Helsinki [1]."
    assert chunks[-1].usage is not None
    last = [c for c in chunks if c.choices][-1]
    assert last.choices[0].finish_reason == "stop"
    assert last.model_extra is not None
    assert len(last.model_extra["qttrag"]["passages"]) == 3


def test_earlier_turns_make_the_question_one_that_stands_alone() -> None:
    generator = FakeGenerator(lambda messages: "Mikä on Suomen väkiluku?")
    with running(application(generator)) as up:
        made = client_of(up).chat.completions.create(
            model="base",
            messages=[
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": "Mikä on Suomen pääkaupunki?"},
                {"role": "assistant", "content": "Helsinki"},
                {"role": "user", "content": "Entä sen väkiluku?"},
            ],
        )
    assert made.model_extra is not None
    assert made.model_extra["qttrag"]["question"] == "Mikä on Suomen väkiluku?"
    condensed = generator.seen[0][0][1]["content"]
    assert "[Kysymys] Mikä on Suomen pääkaupunki?\n[Vastaus] Helsinki" in condensed
    assert "Be brief" not in condensed


def test_an_unknown_model_is_not_found(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError, match="did you mean 'qtt_rag'"):
        client.chat.completions.create(model="qtt-rag", messages=ASKED)


def test_a_generator_that_dies_is_an_error_in_both_ways() -> None:
    with running(application(BrokenGenerator(words=1))) as up:
        with pytest.raises(openai.InternalServerError, match="the generator failed"):
            client_of(up).chat.completions.create(model="base", messages=ASKED)
        with pytest.raises(openai.APIError, match="the generator failed"):
            list(client_of(up).chat.completions.create(model="base", messages=ASKED, stream=True))


def test_a_stream_that_begins_anew_is_an_error_for_clients_that_cannot_take_back() -> None:
    with running(application(BrokenOffOnce(time=2))) as up:
        client = client_of(up)
        list(client.chat.completions.create(model="base", messages=ASKED, stream=True))
        with pytest.raises(openai.APIError, match="ask again"):
            list(client.chat.completions.create(model="base", messages=ASKED, stream=True))


def test_the_first_stream_waits_for_the_whole_answer_and_later_ones_do_not() -> None:
    with running(application(FakeGenerator(lambda messages: "yes it is"))) as up:
        client = client_of(up)
        pieces = [
            [
                chunk.choices[0].delta.content
                for chunk in client.chat.completions.create(model="base", messages=ASKED, stream=True)
                if chunk.choices[0].delta.content
            ]
            for _ in range(2)
        ]
    assert pieces == [["yes it is"], ["yes", " it", " is"]]


def test_the_usage_of_a_cached_answer_is_that_of_the_first(tmp_path: Path) -> None:
    with Server(text_reply("Helsinki")) as server:
        inner = OpenAIGenerator("m", base_url=server.base_url, retries=0)
        generator = CachedGenerator(inner, Cache(tmp_path / "cache.sqlite"))
        with running(application(generator)) as up:
            client = client_of(up)
            first, again = [client.chat.completions.create(model="base", messages=ASKED).usage for _ in range(2)]
    assert len(server.requests) == 1
    assert first == again
    assert first is not None
    assert first.prompt_tokens == 7


def test_a_chat_may_name_collections() -> None:
    with running(application(retriever=DividedRetriever)) as up:
        client = client_of(up)
        named = {"collections": ["wiki-ko"]}
        made = client.chat.completions.create(model="base", messages=ASKED, extra_body=named)
        assert made.model_extra is not None
        assert [passage["lang"] for passage in made.model_extra["qttrag"]["passages"]] == ["ko"]
        with pytest.raises(openai.UnprocessableEntityError, match="unknown collection 'nowhere'"):
            client.chat.completions.create(model="base", messages=ASKED, extra_body={"collections": ["nowhere"]})


def test_the_last_question_of_the_user_is_answered_whatever_comes_after_it() -> None:
    generator = FakeGenerator(lambda messages: "Helsinki")
    turns: list[ChatCompletionMessageParam] = [
        *ASKED,
        {"role": "assistant", "content": "Turku"},
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": " "},
    ]
    with running(application(generator)) as up:
        made = client_of(up).chat.completions.create(model="base", messages=turns)
    assert made.model_extra is not None
    assert made.model_extra["qttrag"]["question"] == ASKED[0]["content"]
    assert len(generator.seen) == 1


def test_a_chat_without_a_question_is_refused(client: openai.OpenAI) -> None:
    with pytest.raises(openai.UnprocessableEntityError, match="with a question"):
        client.chat.completions.create(model="base", messages=[{"role": "assistant", "content": "Turku"}])
