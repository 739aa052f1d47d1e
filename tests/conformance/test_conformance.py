"""Every habit of a server by every path through the product: the same answer, or an honest word about its absence."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from qttrag.application.application import Application
from qttrag.errors import StageError
from qttrag.evaluation import suites
from qttrag.evaluation.runs import answer_files
from qttrag.evaluation.runs.runner import run
from qttrag.generators.openai import OpenAIGenerator
from qttrag.prompts import Prompts
from qttrag.taggers.llm import LLMTagger
from qttrag.types import RESTART, Answer, AskRequest, Decoding, Event, Lang, Message, QualityScores
from tests import deployment, suite
from tests.conformance.habits import ANSWER, FAILURES, HABITS, REFUSALS, THOUGHT, WORDS, OddServer
from tests.server import running

MESSAGES: list[Message] = [{"role": "system", "content": "Answer."}, {"role": "user", "content": "Mikä raha?"}]
TRUE_SCORES = QualityScores(4.5, 4.0, 3.5)
KO = Lang("ko")
ALL = {**HABITS, **REFUSALS}


class Expected(NamedTuple):
    """What comes of a habit. `scores`: of the same reply as a verdict."""

    text: str = ANSWER
    cut: bool = False
    scores: QualityScores | None = TRUE_SCORES


UNLIKE = {
    "think_cut": Expected("", cut=True, scores=None),
    "reasoning_content_cut": Expected("", cut=True, scores=None),
    "cut_at_limit": Expected(cut=True, scores=None),
    "emoji_halves": Expected(f"{ANSWER}😀"),
    "lone_surrogate": Expected(f"{ANSWER}\ufffd"),
}
THINKING = {
    "think_block", "think_block_by_characters", "think_closing_tag_only", "think_cut", "think_in_brackets",
    "harmony_channels", "reasoning_content", "reasoning_field", "reasoning_content_cut", "content_parts",
}  # fmt: skip


@pytest.fixture(params=sorted(ALL))
def habit(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def expected(habit: str) -> Expected:
    return UNLIKE.get(habit, Expected())


@asynccontextmanager
async def generator_at(server: OddServer, **settings: Any) -> AsyncIterator[OpenAIGenerator]:
    generator = OpenAIGenerator("m", base_url=server.base_url, retries=0, timeout=5.0, **settings)
    try:
        yield generator
    finally:
        await generator.close()


def application_of(generator: OpenAIGenerator, **stages: Any) -> Application:
    application = running.application(generator)
    tagger = LLMTagger(generator=generator, prompts=Prompts())
    return replace(application, stages=replace(application.stages, tagger=tagger, **stages))


async def test_a_streamed_completion(habit: str) -> None:
    with OddServer(ALL[habit]) as server:
        async with generator_at(server) as generator:
            text = ""
            async for piece in generator.generate(MESSAGES, Decoding()):
                text = "" if piece is RESTART else text + piece
    assert text == expected(habit).text


async def test_a_whole_completion(habit: str) -> None:
    with OddServer(ALL[habit]) as server:
        async with generator_at(server) as generator:
            completion = await generator.complete(MESSAGES, Decoding())
    assert (completion.text, completion.cut) == (expected(habit).text, expected(habit).cut)
    assert completion.reasoning.strip() == (THOUGHT if habit in THINKING else "")


@pytest.mark.parametrize("expectations", [False, True], ids=["as written", "as expectations"])
async def test_a_verdict(habit: str, expectations: bool) -> None:
    with OddServer(ALL[habit]) as server:
        async with generator_at(server) as generator:
            tagger = LLMTagger(generator=generator, prompts=Prompts(), expected=expectations)
            (verdict,) = await tagger.score(["It is the euro."], ["유로이다."], [Lang("en")], KO)
    assert verdict.scores == expected(habit).scores


@pytest.mark.parametrize("strategy", ["qtt_rag", "dkm_rag"])
async def test_a_question(habit: str, strategy: str) -> None:
    events: list[Event] = []
    with OddServer(ALL[habit]) as server:
        async with generator_at(server) as generator:
            request = AskRequest("Mikä raha?", strategy=strategy)
            answer = await application_of(generator).ask(request, on_event=events.append)
    check(answer, habit)
    restarts = [n for n, event in enumerate(events) if event.kind == "restarted"]
    streamed = [event.text for event in events[max(restarts, default=0) :] if event.kind == "piece"]
    assert "".join(streamed).strip() == expected(habit).text
    if strategy == "qtt_rag":
        assert {passage.scores for passage in answer.context if passage.translation} == {expected(habit).scores}
    else:
        assert {passage.refined for passage in answer.context} == {expected(habit).text or None}


SIX = ["base", "cross_rag", "dkm_rag", "hard_filter", "qtt_rag", "query_translation"]


@pytest.mark.parametrize("strategy", SIX)
@pytest.mark.parametrize("habit", ["think_block", "think_closing_tag_only", "harmony_channels", "reasoning_content"])
async def test_a_reasoning_model_answers_alike_streamed_and_not(habit: str, strategy: str) -> None:
    pieces: list[str] = []

    def collect(event: Event) -> None:
        if event.kind == "restarted":
            pieces.clear()
        elif event.kind == "piece":
            pieces.append(event.text)

    with OddServer(ALL[habit]) as server:
        async with generator_at(server) as generator:
            application, request = application_of(generator), AskRequest("Mikä raha?", strategy=strategy)
            answers = [await application.ask(request), await application.ask(request, on_event=collect)]
    for answer in answers:
        check(answer, habit)
        assert (answer.reasoning or "").strip() == THOUGHT
        assert answer.citations == answers[0].citations
        translated = [passage for passage in answer.context if passage.translation is not None]
        scored = TRUE_SCORES if strategy in ("hard_filter", "qtt_rag") else None
        assert all(passage.scores == scored for passage in translated)
    assert "".join(pieces).strip() == ANSWER


def check(answer: Answer, habit: str) -> None:
    assert answer.text == expected(habit).text
    assert answer.finish_reason == ("length" if expected(habit).cut else "stop")
    assert answer.reasoning == (THOUGHT if habit in THINKING else None)
    assert answer.trace.reasoning.get("answer", []) == ([THOUGHT] if habit in THINKING else [])
    assert answer.degraded == []
    assert any("cut at its limit" in note for note in answer.trace.notes) == (expected(habit).cut and bool(answer.text))
    assert any("thinking: false" in note for note in answer.trace.notes) == (not answer.text)
    assert 2 not in answer.citations.passages or habit not in THINKING


def test_the_service(habit: str) -> None:
    with OddServer(ALL[habit]) as server:
        generator = OpenAIGenerator("m", base_url=server.base_url, retries=0, timeout=5.0)
        with running.running(application_of(generator)) as service:
            whole = service.ask("Mikä raha?", strategy="base")
            streamed = service.ask("Mikä raha?", strategy="base", stream=True)
            chat = {"model": "base", "messages": [{"role": "user", "content": "Mikä raha?"}]}
            chatted = service.client.post("/v1/chat/completions", json=chat)
            chat_events = service.client.post("/v1/chat/completions", json={**chat, "stream": True})
    assert {reply.status_code for reply in (whole, streamed, chatted, chat_events)} == {200}
    finish = "length" if expected(habit).cut else "stop"
    end = dict(running.events(streamed.text))["end"]
    for body in (whole.json(), end):
        assert (body["answer"], body["finish_reason"]) == (expected(habit).text, finish)
        assert body["reasoning"] == (THOUGHT if habit in THINKING else None)
    (choice,) = chatted.json()["choices"]
    assert (choice["message"]["content"], choice["finish_reason"]) == (expected(habit).text, finish)
    chunks = [data["choices"][0] for _, data in running.events(chat_events.text) if data != "[DONE]"]
    assert "".join(chunk["delta"].get("content", "") for chunk in chunks).strip() == expected(habit).text
    assert chunks[-1]["finish_reason"] == finish


def test_a_chat_that_is_streamed_first_is_an_answer(habit: str) -> None:
    """Text that was sent to a chat client cannot be recalled when it turns out to be reasoning."""
    chat = {"model": "base", "messages": [{"role": "user", "content": "Mikä raha?"}], "stream": True}
    with OddServer(ALL[habit]) as server:
        generator = OpenAIGenerator("m", base_url=server.base_url, retries=0, timeout=5.0)
        with running.running(application_of(generator)) as service:
            replies = [service.client.post("/v1/chat/completions", json=chat) for _ in range(2)]
    for reply in replies:
        *chunks, last = [data for _, data in running.events(reply.text)]
        assert last == "[DONE]"
        pieces = [chunk["choices"][0]["delta"].get("content", "") for chunk in chunks]
        assert "".join(pieces).strip() == expected(habit).text


def test_the_question_of_a_chat_is_rewritten_without_reasoning(habit: str) -> None:
    turns = [{"role": "user", "content": "Mikä on Suomen raha?"}, {"role": "user", "content": "Entä Korean?"}]
    with OddServer(ALL[habit]) as server:
        generator = OpenAIGenerator("m", base_url=server.base_url, retries=0, timeout=5.0)
        with running.running(application_of(generator)) as service:
            reply = service.client.post("/v1/chat/completions", json={"model": "base", "messages": turns})
    body = reply.json()["qttrag"]
    assert body["question"] == ("Entä Korean?" if expected(habit).cut else expected(habit).text)
    assert any("searched as it stands" in note for note in body["trace"]["notes"]) == expected(habit).cut


async def test_an_abstention_after_reasoning_is_one() -> None:
    unknown = Prompts().answer(Lang("fi")).unknown
    with OddServer(HABITS["think_block"], lambda body: unknown) as server:
        async with generator_at(server) as generator:
            answer = await application_of(generator).ask(AskRequest("Mikä raha?", strategy="base"))
    assert answer.abstained
    assert answer.citations.passages == ()


# servers that do not answer

AT_ONCE = {"key_refused", "access_denied", "model_missing", "prompt_too_long", "no_quota", "filtered"}
WITHOUT_WORDS = {"error_is_empty", "page_as_stream", "cut_off", "filtered", "broken_chunk"}


@pytest.mark.parametrize("failure", sorted(FAILURES))
async def test_a_failure_is_an_error_of_its_stage_with_the_servers_words(failure: str) -> None:
    with OddServer(FAILURES[failure]) as server:
        async with generator_at(server) as generator:
            with pytest.raises(StageError) as caught:
                await application_of(generator).ask(AskRequest("Mikä raha?", strategy="base"))
    assert caught.value.stage == "generator"
    assert server.base_url in str(caught.value)
    assert (WORDS in str(caught.value)) == (failure not in WITHOUT_WORDS)


@pytest.mark.parametrize("failure", sorted(AT_ONCE))
async def test_a_failure_that_repeats_itself_is_not_retried(failure: str) -> None:
    with OddServer(FAILURES[failure]) as server:
        generator = OpenAIGenerator("m", base_url=server.base_url, retries=3, timeout=5.0)
        with pytest.raises(StageError):
            await generator.complete(MESSAGES, Decoding())
        await generator.close()
    assert len(server.requests) == 1


@pytest.mark.parametrize("failure", sorted(FAILURES))
async def test_a_failure_of_a_tagger_leaves_translations_unscored(failure: str) -> None:
    with OddServer(FAILURES[failure]) as server:
        async with generator_at(server) as generator:
            tagger = LLMTagger(generator=generator, prompts=Prompts())
            (verdict,) = await tagger.score(["It is the euro."], ["유로이다."], [Lang("en")], KO)
    assert (verdict.scores, verdict.cause) == (None, "unavailable")


@pytest.mark.parametrize("habit", ["think_closing_tag_only", "content_parts", "only_json_object", "cut_at_limit"])
async def test_a_cell_of_an_evaluation(habit: str, tiny: Path, tmp_path: Path) -> None:
    deployment.build(tmp_path, tiny)
    with OddServer(ALL[habit]) as server:
        generator = {"kind": "openai", "model": "m", "base_url": server.base_url, "retries": 0}
        path = suite.write_suite(
            tmp_path,
            tiny,
            n=1,
            strategies={"base": {}, "dkm_rag": {}},
            headline={"of": "dkm_rag", "over": "base"},
            generators={"odd": generator},
        )
        outcome = await run(suites.load(str(path)), tmp_path / "out")
    records = [record for file in (tmp_path / "out" / "answers").rglob("*.jsonl") for record in answer_files.read(file)]
    assert (outcome.answered, outcome.failed) == (4, 0)
    assert {record.text for record in records} == {ANSWER}


# what is learnt of a server


@pytest.mark.parametrize("refusal", sorted(REFUSALS))
async def test_a_refusal_is_learnt_once(refusal: str) -> None:
    with OddServer(REFUSALS[refusal]) as server:
        async with generator_at(server) as generator:
            decoding = Decoding(schema={"type": "object"}, alternatives=2, repetition_penalty=1.2)
            await generator.complete(MESSAGES, decoding)
            first = len(server.requests)
            for _ in range(3):
                await generator.complete(MESSAGES, decoding)
    assert 2 <= first <= 4
    assert len(server.requests) == first + 3


FORCED = {
    "max_tokens_refused": {"max_tokens": False},
    "temperature_refused": {"temperature": False},
    "temperature_with_top_p_refused": {"top_p": False},
    "stream_options_refused": {"stream_options": False},
    "system_role_refused": {"system_role": False},
    "schema_refused_400": {"json_schema": False},
    "response_format_refused": {"json_schema": False, "json_object": False},
    "unknown_fields_refused": {"extra_fields": False},
}


@pytest.mark.parametrize("refusal", sorted(FORCED))
async def test_what_a_server_accepts_can_be_set(refusal: str) -> None:
    with OddServer(REFUSALS[refusal]) as server:
        async with generator_at(server, accepts=FORCED[refusal]) as generator:
            await generator.complete(MESSAGES, Decoding(schema={"type": "object"}))
    assert len(server.requests) == 1


async def test_a_merged_system_message_stands_before_the_users() -> None:
    with OddServer(REFUSALS["system_role_refused"]) as server:
        async with generator_at(server) as generator:
            await generator.complete(MESSAGES, Decoding())
    assert server.requests[-1]["messages"] == [{"role": "user", "content": "Answer.\n\nMikä raha?"}]


async def test_null_in_extra_body_removes_a_field() -> None:
    with OddServer(HABITS["think_block"]) as server:
        async with generator_at(server, extra_body={"top_p": None, "chat_template_kwargs": None}) as generator:
            await generator.complete(MESSAGES, Decoding())
    assert {"top_p", "chat_template_kwargs"}.isdisjoint(server.requests[0])


@pytest.mark.parametrize("thinking", [False, True])
async def test_thinking_is_switched_by_a_setting(thinking: bool) -> None:
    with OddServer(HABITS["think_block"]) as server:
        async with generator_at(server, thinking=thinking) as generator:
            await generator.complete(MESSAGES, Decoding())
    assert server.requests[0]["chat_template_kwargs"] == {"enable_thinking": thinking}


async def test_a_model_whose_template_opens_the_reasoning_restarts_once() -> None:
    with OddServer(HABITS["think_closing_tag_only"]) as server:
        async with generator_at(server) as generator:
            streams = [[piece async for piece in generator.generate(MESSAGES, Decoding())] for _ in range(2)]
    assert [any(piece is RESTART for piece in pieces) for pieces in streams] == [True, False]
    assert "".join(streams[1]) == ANSWER


def test_the_paths_of_the_suite_are_concurrent() -> None:
    async def both() -> list[str]:
        with OddServer(REFUSALS["only_json_object"]) as server:
            async with generator_at(server) as generator:
                decoding = Decoding(schema={"type": "object"})
                completions = await asyncio.gather(*(generator.complete(MESSAGES, decoding) for _ in range(16)))
                return [completion.text for completion in completions]

    assert asyncio.run(both()) == [ANSWER] * 16
