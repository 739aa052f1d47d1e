"""Generator and tagger against real servers: vLLM, and `transformers serve` as a server of another make."""

from __future__ import annotations

import asyncio
import urllib.request
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from qttrag.application.application import Application
from qttrag.errors import StageError
from qttrag.generators.openai import OpenAIGenerator
from qttrag.prompts import Prompts
from qttrag.taggers.llm import LLMTagger
from qttrag.taggers.verdicts import SCHEMA
from qttrag.trace import Trace
from qttrag.types import Decoding, Lang, Message
from tests import deployment
from tests.texts import sentences

pytestmark = [pytest.mark.vllm, pytest.mark.timeout(900)]
MESSAGES: list[Message] = [{"role": "user", "content": "핀란드의 수도는 어디인가?"}]
KO, EN = Lang("ko"), Lang("en")


def generator_of(spec: dict[str, Any], **settings: Any) -> OpenAIGenerator:
    return OpenAIGenerator(**{**{name: value for name, value in spec.items() if name != "kind"}, **settings})


@pytest.fixture
async def served(generator: dict[str, Any]) -> AsyncIterator[OpenAIGenerator]:
    client = generator_of(generator)
    yield client
    await client.close()


@pytest.fixture
async def served_by_transformers(other_generator: dict[str, Any]) -> AsyncIterator[OpenAIGenerator]:
    client = generator_of(other_generator, timeout=120)
    yield client
    await client.close()


def metric(spec: dict[str, Any], name: str) -> float:
    root = str(spec["base_url"]).removesuffix("/v1")
    with urllib.request.urlopen(f"{root}/metrics", timeout=10) as reply:
        lines = reply.read().decode().splitlines()
    return sum(float(line.split()[-1]) for line in lines if line.startswith(name + "{"))


async def test_the_streamed_pieces_are_the_completion(served: OpenAIGenerator) -> None:
    pieces = [piece async for piece in served.generate(MESSAGES, Decoding(max_tokens=24))]
    assert len(pieces) > 1
    assert "".join(pieces) == (await served.complete(MESSAGES, Decoding(max_tokens=24))).text


async def test_the_prompts_length_equals_the_servers_count(served: OpenAIGenerator) -> None:
    trace = Trace()
    with trace.stage("answer"):
        await served.complete(MESSAGES, Decoding(max_tokens=4))
    assert trace.counts["answer.prompt_tokens"] == await served.count_tokens(MESSAGES)
    assert trace.counts["answer.completion_tokens"] == 4
    assert trace.counts["answer.cut_at_max_tokens"] == 1


async def test_a_completion_says_whether_it_was_cut(served: OpenAIGenerator) -> None:
    assert (await served.complete(MESSAGES, Decoding(max_tokens=2))).cut
    assert not (await served.complete(MESSAGES, Decoding(max_tokens=64, schema=SCHEMA))).cut


async def test_verdicts_under_the_schema_are_readable(served: OpenAIGenerator) -> None:
    trace = Trace()
    with trace.stage("tag"):
        tagger = LLMTagger(generator=served, prompts=Prompts())
        verdicts = await tagger.score(sentences("en", 32), sentences("ko", 32), [EN] * 32, KO)
    assert all(verdict.scores for verdict in verdicts)
    assert trace.counts["tag.retried"] == 0


async def test_expected_scores_use_the_servers_probabilities(served: OpenAIGenerator) -> None:
    trace = Trace()
    with trace.stage("tag"):
        tagger = LLMTagger(generator=served, prompts=Prompts(), expected=True)
        verdicts = await tagger.score(sentences("en", 8), sentences("ko", 8), [EN] * 8, KO)
    scores = [value for verdict in verdicts if verdict.scores for value in verdict.scores.values()]
    assert len(scores) == 24
    assert trace.counts["tag.as_written"] == 0
    assert any(round(value, 1) != value for value in scores)


async def test_cancelled_calls_end_on_the_server(generator: dict[str, Any]) -> None:
    def generated() -> float:
        return metric(generator, "vllm:generation_tokens_total")

    client, long = generator_of(generator), Decoding(max_tokens=3500)
    before = generated()
    await client.complete(MESSAGES, long)
    tokens_of_one, before = generated() - before, generated()
    calls = [asyncio.ensure_future(client.complete(MESSAGES, long)) for _ in range(256)]
    await until(lambda: generated() - before > tokens_of_one)
    for call in calls:
        call.cancel()
    await asyncio.gather(*calls, return_exceptions=True)
    await until(lambda: not any(metric(generator, f"vllm:num_requests_{state}") for state in ("running", "waiting")))
    assert generated() - before < len(calls) * tokens_of_one / 2
    await client.close()


async def until(condition: Callable[[], bool]) -> None:
    for _ in range(1200):
        if await asyncio.to_thread(condition):
            return
        await asyncio.sleep(0.02)
    pytest.fail("the condition was never met")


async def test_translations_of_one_original_share_a_prompt_prefix(
    served: OpenAIGenerator, generator: dict[str, Any]
) -> None:
    original = " ".join(sentences("en", 8))
    prompts = [Prompts().tag(KO).messages(original, text, EN) for text in sentences("ko", 6, seed=4)]
    names = [f"vllm:prefix_cache_{name}_total" for name in ("hits", "queries")]
    before = [metric(generator, name) for name in names]
    for messages in prompts:
        await served.complete(messages, Decoding(max_tokens=1))
    hits, queries = (metric(generator, name) - value for name, value in zip(names, before, strict=True))
    assert hits / queries > 0.5


async def test_a_prompt_that_is_too_long_is_an_error_with_the_servers_message(served: OpenAIGenerator) -> None:
    long: list[Message] = [{"role": "user", "content": "다리 " * 5000}]
    with pytest.raises(StageError, match=r"rejected the request \(HTTP 400\)"):
        await served.complete(long, Decoding())


async def test_an_unknown_model_is_an_error_with_the_served_models(generator: dict[str, Any], tiny: Path) -> None:
    client = generator_of(generator, model="another", tokenizer=None)
    with pytest.raises(StageError, match=f"it serves: {tiny / 'llama'}"):
        await client.complete(MESSAGES, Decoding())
    await client.close()


async def test_questions_are_answered_end_to_end(generator: dict[str, Any], tmp_path: Path, tiny: Path) -> None:
    deployment.build(tmp_path, tiny)
    path = deployment.write_deployment(tmp_path, tiny, generator=generator, question_timeout=120)
    async with Application.open(path) as application:
        calls = [application.ask(f"{text}?") for lang in ("ko", "fi") for text in sentences(lang, 4)]
        answers = await asyncio.gather(*calls)
    assert all(answer.text and not answer.degraded for answer in answers)
    assert all(p.scores for answer in answers for p in answer.context if p.translation)


# transformers serve


async def test_another_server_streams_the_same_completion(
    served_by_transformers: OpenAIGenerator, served: OpenAIGenerator
) -> None:
    decoding = Decoding(max_tokens=12)
    there = "".join([piece async for piece in served_by_transformers.generate(MESSAGES, decoding)])
    assert there == (await served.complete(MESSAGES, decoding)).text


async def test_another_server_reports_a_cut_completion(served_by_transformers: OpenAIGenerator) -> None:
    assert (await served_by_transformers.complete(MESSAGES, Decoding(max_tokens=2))).cut


async def test_without_schema_support_an_untrained_models_reply_is_unreadable(
    served_by_transformers: OpenAIGenerator,
) -> None:
    tagger = LLMTagger(generator=served_by_transformers, prompts=Prompts())
    verdicts = await tagger.score(sentences("en", 2), sentences("ko", 2), [EN] * 2, KO)
    assert [verdict.cause for verdict in verdicts] == ["unreadable", "unreadable"]
