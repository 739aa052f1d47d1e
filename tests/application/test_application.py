"""A whole deployment on tiny models, in process: real stages on real architectures."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from qttrag.application import Application, registry
from qttrag.errors import ConfigError, DeadlineExceeded, InputError, StageUnavailable
from qttrag.generators.openai import OpenAIGenerator
from qttrag.types import Answer, AskLimits, AskRequest
from tests import deployment
from tests.openai_client.server import Reply, Server, chunk
from tests.server import running

WORDS = "Turku Helsinki Busan 1903 1917"
QUESTION = "서울 시에서 가장 오래된 다리는 언제 개통되었는가?"


@pytest.fixture
def path(tmp_path: Path, tiny: Path) -> Path:
    deployment.build(tmp_path, tiny)
    return deployment.write_deployment(tmp_path, tiny)


@pytest.fixture
async def application(path: Path) -> AsyncIterator[Application]:
    async with Application.open(path) as opened:
        yield opened


@pytest.mark.parametrize("strategy", sorted(registry.KINDS["strategy"]))
async def test_every_strategy_answers_from_real_stages(application: Application, strategy: str) -> None:
    settings = {"settings": "as_released"} if strategy == "dkm_rag" else {}  # its others draw words by chance
    answer = await application.ask(AskRequest(QUESTION, strategy=strategy, options=settings))
    assert answer.text
    assert answer.lang == "ko"
    assert answer.query.text == QUESTION
    assert answer.context or strategy == "hard_filter"
    assert {"retrieve", "rerank", "answer"} <= set(answer.trace.seconds)


async def test_foreign_passages_have_translations_and_scores(application: Application) -> None:
    answer = await application.ask(AskRequest(QUESTION, strategy="qtt_rag"))
    foreign = [passage for passage in answer.context if passage.passage.lang != "ko"]
    assert foreign
    assert all(passage.translation is not None for passage in foreign)
    assert all(passage.scores or passage.unscored for passage in foreign)
    assert all(passage.translation is None for passage in answer.context if passage.passage.lang == "ko")


async def test_a_second_strategy_reuses_translations_and_scores(application: Application) -> None:
    first = (await application.ask(AskRequest(QUESTION, strategy="qtt_rag"))).trace.counts
    second = (await application.ask(AskRequest(QUESTION, strategy="hard_filter"))).trace.counts
    third = (await application.ask(AskRequest(QUESTION, strategy="cross_rag"))).trace.counts
    assert first["translate.computed"] > 0
    assert first["tag.computed"] > 0
    assert second["translate.computed"] == second["tag.computed"] == third["translate.computed"] == 0
    assert second["translate.cached"] == first["translate.computed"]
    assert second["tag.cached"] == first["tag.computed"]


async def test_the_cache_persists(path: Path) -> None:
    answers = []
    for _ in range(2):
        async with Application.open(path) as application:
            answers.append(await application.ask(QUESTION))
    assert answers[0].text == answers[1].text
    assert answers[0].context == answers[1].context
    assert answers[1].trace.counts["answer.computed"] == answers[1].trace.counts["tag.computed"] == 0


async def test_without_a_cache_the_same_question_has_the_same_answer(tmp_path: Path, tiny: Path, path: Path) -> None:
    uncached = deployment.write_deployment(tmp_path, tiny, cache={"enabled": False})
    async with Application.open(uncached) as application:
        # cross_rag: in qtt_rag, timing determines the batches of the tagger, and batches change the last bit of a score
        one, other = [await application.ask(AskRequest(QUESTION, strategy="cross_rag")) for _ in range(2)]
    assert (one.text, one.context) == (other.text, other.context)
    assert "translate.cached" not in other.trace.counts


@pytest.mark.parametrize("strategy", ["base", "qtt_rag"])
async def test_concurrent_questions_have_the_same_passages_as_single_ones(
    application: Application, strategy: str
) -> None:
    for alone, together in await _alone_and_together(application, strategy):
        assert [p.passage for p in together.context] == [p.passage for p in alone.context]
        # the words are those of an untrained translator, and hang on what shares its batch
        assert [bool(p.translation) for p in together.context] == [bool(p.translation) for p in alone.context]


async def test_concurrent_questions_have_the_same_answers_as_single_ones(application: Application) -> None:
    for alone, together in await _alone_and_together(application, "base"):
        assert together.text == alone.text


async def _alone_and_together(application: Application, strategy: str) -> list[tuple[Answer, Answer]]:
    questions = [QUESTION, "Milloin silta avattiin?", "图书馆是什么时候建成的？", "When did the harbour freeze?"]
    requests = [AskRequest(question, strategy=strategy) for question in questions]
    together = await asyncio.gather(*map(application.ask, requests))
    application.cache.clear()  # type: ignore[union-attr]
    alone = [await application.ask(request) for request in requests]
    return list(zip(alone, together, strict=True))


async def test_a_string_stands_for_a_request_without_choices(application: Application) -> None:
    one, other = await application.ask(QUESTION), await application.ask(AskRequest(QUESTION))
    assert (one.text, one.context, one.strategy) == (other.text, other.context, "qtt_rag")


async def test_start_loads_all_models(path: Path) -> None:
    async with Application.open(path) as application:
        await application.start()
        answer = await application.ask(QUESTION)
    assert answer.text
    assert answer.trace.seconds.get("load", 0.0) == 0.0


async def test_the_language_of_the_request_overrides_detection(application: Application) -> None:
    assert (await application.ask(AskRequest("When was the bridge opened?", lang="fi", strategy="base"))).lang == "fi"
    assert (await application.ask(AskRequest("When was the bridge opened?", strategy="base"))).lang == "en"


async def test_hybrid_retrieval_is_configurable(tmp_path: Path, tiny: Path, path: Path) -> None:
    dense = {"kind": "dense", "encoder": deployment.encoder(tiny), "collections": ["mixed"]}
    hybrid = {"kind": "hybrid", "first": dense, "second": {"kind": "bm25", "collections": ["mixed"]}}
    changed = deployment.write_deployment(tmp_path, tiny, retriever=hybrid, reranker={"kind": "none"})
    async with Application.open(changed) as application:
        assert len((await application.ask(AskRequest(QUESTION, strategy="base"))).context) == 5


async def test_the_tagger_can_have_its_own_model(tmp_path: Path, tiny: Path, path: Path) -> None:
    judge = {"kind": "openai", "model": "judge", "base_url": "http://127.0.0.1:9/v1", "retries": 0}
    changed = deployment.write_deployment(tmp_path, tiny, tagger={"kind": "llm", "generator": judge})
    async with Application.open(changed) as application:
        answer = await application.ask(QUESTION)
    assert answer.text
    assert {p.unscored for p in answer.context if p.translation} == {"unavailable"}
    assert any("127.0.0.1:9" in note for note in answer.degraded)


async def test_an_unavailable_generator_is_an_error(tmp_path: Path, tiny: Path, path: Path) -> None:
    down = {"kind": "openai", "model": "m", "base_url": "http://127.0.0.1:9/v1", "retries": 0}
    changed = deployment.write_deployment(tmp_path, tiny, generator=down)
    async with Application.open(changed) as application:
        with pytest.raises(StageUnavailable, match="cannot be reached"):
            await application.ask(AskRequest(QUESTION, strategy="base"))


async def test_a_deadline_cancels_the_question_and_its_call(tmp_path: Path, tiny: Path, path: Path) -> None:
    import openai  # noqa: F401  its import alone may take longer than the deadline

    with Server(Reply(*[chunk("x" * 10_000)] * 2000, pause=0.02)) as server:
        slow = {"kind": "openai", "model": "m", "base_url": server.base_url}
        changed = deployment.write_deployment(tmp_path, tiny, generator=slow, question_timeout=3, tagger=None)
        async with Application.open(changed) as application:
            with pytest.raises(DeadlineExceeded, match=r"took most of the 3 s .* raise `question_timeout:`") as stopped:
                await application.ask(AskRequest(QUESTION, strategy="base"))
        assert stopped.value.stage in stopped.value.partial.trace.seconds
        assert await asyncio.to_thread(server.disconnected.wait, 5)


async def test_a_deadline_keeps_the_passages_and_the_text_so_far() -> None:
    application = running.application(running.SlowGenerator(0.05, lambda messages: "yes " * 1000))
    with pytest.raises(DeadlineExceeded) as stopped:
        await application.ask(AskRequest(QUESTION, limits=AskLimits(deadline=1.0)))
    assert stopped.value.stage == "answer"
    assert len(stopped.value.partial.passages or ()) == 3
    assert (stopped.value.partial.text or "").startswith("yes yes")


@pytest.mark.parametrize(("asked", "allowed"), [(0.001, None), (0.001, 60), (60, 0.001)])
async def test_the_earlier_of_two_deadlines_applies(
    application: Application, asked: float, allowed: float | None
) -> None:
    deployment = application.deployment.model_copy(update={"question_timeout": allowed})
    limits = AskLimits(deadline=asked)
    with pytest.raises(DeadlineExceeded) as stopped:
        await replace(application, deployment=deployment).ask(AskRequest(QUESTION, limits=limits))
    assert stopped.value.seconds == 0.001
    assert ("`question_timeout:`" in str(stopped.value)) is (allowed == 0.001)


async def test_an_unavailable_tagger_is_an_error_without_degrade(tmp_path: Path, tiny: Path, path: Path) -> None:
    judge = {"kind": "openai", "model": "judge", "base_url": "http://127.0.0.1:9/v1", "retries": 0}
    changed = deployment.write_deployment(tmp_path, tiny, tagger={"kind": "llm", "generator": judge}, degrade=False)
    async with Application.open(changed) as application:
        with pytest.raises(StageUnavailable, match=r"127\.0\.0\.1:9"):
            await application.ask(QUESTION)


@pytest.mark.parametrize("guard", [False, "report", "repair"])
async def test_the_language_guard_is_a_setting(tmp_path: Path, tiny: Path, path: Path, guard: object) -> None:
    changed = deployment.write_deployment(tmp_path, tiny, language_guard=guard)
    async with Application.open(changed) as application:
        answer = await application.ask(QUESTION)
    assert (answer.language_check == "off") is (guard is False)


@pytest.mark.parametrize("question", ["", "  \n ", "\t", "\u200b\u3164"])
async def test_an_empty_question_is_refused(application: Application, question: str) -> None:
    with pytest.raises(InputError, match="the question is empty"):
        await application.ask(question)


async def test_a_question_of_100_000_characters_is_an_error_with_both_numbers(application: Application) -> None:
    with pytest.raises(InputError, match=r"100000 characters, at most 2000.*max_question_chars"):
        await application.ask("가" * 100_000)


async def test_a_question_without_letters_asks_for_its_language(application: Application) -> None:
    with pytest.raises(InputError, match="cannot detect the language of '1988'; specify it"):
        await application.ask("1988")


async def test_an_unknown_language_is_refused(application: Application) -> None:
    with pytest.raises(InputError, match="unknown language 'klingon'"):
        await application.ask(AskRequest(QUESTION, lang="klingon"))


async def test_a_lone_surrogate_in_a_question_is_replaced(application: Application) -> None:
    assert (await application.ask(AskRequest("다리는 \ud800 언제?", strategy="base"))).text


def refuse(tmp_path: Path, tiny: Path, words: str, **changes: object) -> None:
    with pytest.raises((ConfigError, InputError), match=words):
        Application.open(deployment.write_deployment(tmp_path, tiny, **changes))


def test_invalid_settings_are_explained_before_models_load(tmp_path: Path, tiny: Path) -> None:
    model = str(tiny / "nllb")
    refuse(tmp_path, tiny, "unknown translator kind 'nlb'; did you mean 'nllb'", translator={"kind": "nlb"})
    refuse(tmp_path, tiny, "translator: `kind:` is missing", translator={"model": model})
    refuse(
        tmp_path, tiny, "unknown setting of translator kind 'nllb': 'beam_siz'; did you mean 'beam_size'",
        translator={"kind": "nllb", "model": model, "beam_siz": 1},
    )  # fmt: skip
    refuse(tmp_path, tiny, "translator kind 'nllb': `model:` is missing", translator={"kind": "nllb"})
    refuse(
        tmp_path, tiny, r"translator kind 'nllb': `beam_size: 'many'`",
        translator={"kind": "nllb", "model": model, "beam_size": "many"},
    )  # fmt: skip
    refuse(tmp_path, tiny, "unknown strategy 'qttrag'; did you mean 'qtt_rag'", strategy="qttrag")
    refuse(tmp_path, tiny, "setting of strategy 'hard_filter': 'dorp'", strategies={"hard_filter": {"dorp": "any"}})
    refuse(tmp_path, tiny, r"`first:` must hold a retriever's settings", retriever={"kind": "hybrid"})


async def test_equal_settings_share_one_object(application: Application) -> None:
    tagger = application.stages.tagger
    assert getattr(tagger, "generator", None) is application.stages.generator


async def test_an_unknown_language_of_the_retriever_is_refused(tmp_path: Path, tiny: Path, path: Path) -> None:
    refuse(
        tmp_path, tiny, "unknown language 'klingon'",
        retriever={"kind": "bm25", "collections": ["mixed"], "languages": ["klingon"]},
    )  # fmt: skip


def test_a_generator_behind_a_server_is_built_without_a_request(tmp_path: Path, tiny: Path) -> None:
    path = deployment.write_deployment(
        tmp_path, tiny, generator={"kind": "openai", "model": "m", "base_url": "http://127.0.0.1:9/v1"}
    )
    generator = Application.open(path).stages.generator
    assert isinstance(getattr(generator, "inner", None), OpenAIGenerator)


@pytest.fixture
async def two(tmp_path: Path, tiny: Path) -> AsyncIterator[Application]:
    """An application with two collections."""
    for name, n in (("mixed", 40), ("other", 16)):
        deployment.build(tmp_path, tiny, n=n, name=name)
    retriever = {"kind": "bm25", "collections": ["mixed", "other"]}
    async with Application.open(deployment.write_deployment(tmp_path, tiny, retriever=retriever)) as opened:
        yield opened


async def test_only_the_collections_of_the_request_are_searched(two: Application) -> None:
    assert two.collections == ["mixed", "other"]
    request = AskRequest(WORDS, strategy="base", limits=AskLimits(depth=100, top_k=100))
    chosen = await two.ask(replace(request, collections=["other"]))
    everything = await two.ask(request)
    assert chosen.query.collections == ("other",)
    assert 0 < len(chosen.context) < len(everything.context)


async def test_the_cache_distinguishes_collections(two: Application) -> None:
    limits = AskLimits(depth=20, top_k=20)
    asked = [["mixed"], ["other"], ["mixed"]]
    answers = [await two.ask(AskRequest(WORDS, collections=names, limits=limits, strategy="base")) for names in asked]
    assert answers[0].context != answers[1].context
    assert answers[1].trace.counts["answer.computed"] == 1
    assert answers[2].context == answers[0].context
    assert answers[2].trace.counts["answer.cached"] == 1


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["othre"], "unknown collection 'othre'; did you mean 'other'? (known: mixed, other)"),
        ([], "`collections` is empty; name some of mixed, other"),
    ],
)
async def test_unknown_collections_are_an_error(two: Application, names: list[str], words: str) -> None:
    with pytest.raises(InputError, match=re.escape(words)):
        await two.ask(AskRequest(WORDS, collections=names))
