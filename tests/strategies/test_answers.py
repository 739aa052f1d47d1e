"""Answers when a stage fails, is slow, or uses another language: the strategies on the shipped fakes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from typing import Any

import pytest

from qttrag.application.factory import strategy_options
from qttrag.detectors.script import ScriptDetector
from qttrag.errors import BrokenOff, PartialHits, StageError, StageUnavailable
from qttrag.pipeline.language_guard import LanguageGuard
from qttrag.pipeline.stages import Stages
from qttrag.prompts import Prompts
from qttrag.rerankers.none import NoReranker
from qttrag.testing import FakeGenerator, FakeRetriever, FakeTagger, FakeTranslator
from qttrag.trace import Trace
from qttrag.types import (
    Answer,
    Decoding,
    Event,
    Hit,
    Lang,
    Message,
    Passage,
    QualityScores,
    Query,
    Translation,
    Verdict,
)

PASSAGES = [
    Passage("en-1", "서울 is the capital of Korea", Lang("en"), "Seoul"),
    Passage("en-2", "서울 is large", Lang("en")),
    Passage("ko-1", "서울 대한민국의 수도", Lang("ko")),
]
QUERY = Query("서울 수도", Lang("ko"))
ENGLISH = "It is the capital of the country."


@pytest.fixture
def stages() -> Stages:
    return Stages(
        retriever=FakeRetriever(PASSAGES),
        reranker=NoReranker(),
        translator=FakeTranslator(),
        tagger=FakeTagger(),
        generator=FakeGenerator(lambda messages: "서울입니다"),
        prompts=Prompts(),
        depth=3,
        top_k=3,
    )


async def run(stages: Stages, name: str = "qtt_rag", **options: Any) -> Answer:
    strategy, checked = strategy_options(name, options)
    answer: Answer = await strategy(QUERY, replace(stages, trace=Trace()), **checked)
    return answer


# a stage that is unavailable


class Down(FakeTranslator):
    """Fails for texts that contain "large"."""

    async def translate(self, texts: Sequence[str], source: Sequence[Lang], target: Lang) -> list[Translation]:
        if any("large" in text for text in texts):
            raise StageUnavailable("translator", "died")
        return await super().translate(texts, source, target)


class Unavailable(FakeTagger):
    def __init__(self) -> None:
        super().__init__(lambda text: Verdict(None, "unavailable", StageUnavailable("tagger", "http://x is down")))


async def test_without_a_translator_the_passages_are_read_untranslated_with_a_note(stages: Stages) -> None:
    answer = await run(replace(stages, translator=Down()))
    assert answer.text
    assert {p.passage.passage_id: p.translation is not None for p in answer.context} == {
        "en-1": True, "en-2": False, "ko-1": False,
    }  # fmt: skip
    assert answer.degraded == ["passages are read untranslated: translator: died"]
    assert answer.trace.counts["translate.untranslated"] == 1
    assert answer.trace.as_dict(details=True)["degraded"] == answer.degraded


async def test_without_a_tagger_the_translations_are_read_unscored_with_a_note(stages: Stages) -> None:
    answer = await run(replace(stages, tagger=Unavailable()))
    assert {p.unscored for p in answer.context if p.translation} == {"unavailable"}
    assert answer.degraded == ["translations are unscored: tagger: http://x is down"]


async def test_a_question_that_cannot_be_translated_is_searched_untranslated(stages: Stages) -> None:
    class NoTranslator(FakeTranslator):
        async def translate(self, texts: Sequence[str], source: Sequence[Lang], target: Lang) -> list[Translation]:
            raise StageUnavailable("translator", "died")

    answer = await run(replace(stages, translator=NoTranslator()), "query_translation")
    assert answer.text
    assert "untranslated" in answer.degraded[0]


@pytest.mark.parametrize("name", ["qtt_rag", "hard_filter", "cross_rag"])
async def test_an_unavailable_translator_is_an_error_without_degrade(stages: Stages, name: str) -> None:
    with pytest.raises(StageUnavailable, match="translator: died"):
        await run(replace(stages, translator=Down(), degrade=False), name)


async def test_an_unavailable_tagger_is_an_error_without_degrade(stages: Stages) -> None:
    with pytest.raises(StageUnavailable, match="http://x is down"):
        await run(replace(stages, tagger=Unavailable(), degrade=False))


class SomeCollections(FakeRetriever):
    """A retriever that one of several collections does not answer."""

    async def retrieve(self, query: Query, k: int) -> list[Hit]:
        raise PartialHits(StageUnavailable("retriever", "http://x is down"), await super().retrieve(query, k))


async def test_without_some_collections_the_answer_is_from_the_others_with_a_note(stages: Stages) -> None:
    answer = await run(replace(stages, retriever=SomeCollections(PASSAGES[:2])))
    assert [p.passage for p in answer.context] == PASSAGES[:2]
    assert answer.degraded == ["some collections were not searched: retriever: http://x is down"]
    assert "http://x" not in str(answer.trace.as_dict()["degraded"])


async def test_without_some_collections_there_is_an_error_without_degrade(stages: Stages) -> None:
    with pytest.raises(PartialHits, match="http://x is down"):
        await run(replace(stages, retriever=SomeCollections(PASSAGES), degrade=False))


async def test_a_complete_answer_is_not_degraded(stages: Stages) -> None:
    assert (await run(stages)).degraded == []


# overlap


async def test_a_passage_is_scored_while_another_is_still_being_translated(stages: Stages) -> None:
    scored = asyncio.Event()

    class Slow(FakeTranslator):
        async def translate(self, texts: Sequence[str], source: Sequence[Lang], target: Lang) -> list[Translation]:
            if "large" in texts[0]:
                await asyncio.wait_for(scored.wait(), 5)
            return await super().translate(texts, source, target)

    def judge(text: str) -> Verdict:
        scored.set()
        return Verdict(QualityScores(4, 4, 4))

    answer = await run(replace(stages, translator=Slow(), tagger=FakeTagger(judge)))
    assert [p.scores is not None for p in answer.context if p.translation] == [True, True]
    assert answer.degraded == []


async def test_translating_and_scoring_in_parallel_gives_the_same_result_as_in_sequence(stages: Stages) -> None:
    passages = await stages.search(QUERY)
    at_once = await stages.translate_and_tag(passages, QUERY.lang)
    assert at_once == await stages.tag(await stages.translate(passages, QUERY.lang), QUERY.lang)


async def test_a_cancelled_question_cancels_its_translations_and_scores(stages: Stages) -> None:
    ended = []

    class Endless(FakeTranslator):
        async def translate(self, texts: Sequence[str], source: Sequence[Lang], target: Lang) -> list[Translation]:
            try:
                await asyncio.sleep(60)
            finally:
                ended.append(texts)
            return []

    asking = asyncio.ensure_future(run(replace(stages, translator=Endless())))
    await asyncio.sleep(0.1)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert len(ended) == 2


# answers that break off


class Breaking(FakeGenerator):
    """Breaks off its first `times` answers."""

    def __init__(self, times: int) -> None:
        super().__init__(lambda messages: "서울 입니다")
        self.times = times

    async def generate(self, messages: Sequence[Message], decoding: Decoding) -> AsyncIterator[str]:
        async for piece in super().generate(messages, decoding):
            yield piece
            if self.times:
                self.times -= 1
                raise BrokenOff("generator", "http://x broke off")


async def test_an_answer_that_breaks_off_is_restarted_and_its_pieces_are_void(stages: Stages) -> None:
    events: list[Event] = []
    answer = await run(replace(stages, generator=Breaking(1), emit=events.append))
    assert answer.text == "서울 입니다"
    assert [(event.kind, event.text) for event in events][-4:] == [
        ("piece", "서울"), ("restarted", "the generator was interrupted"), ("piece", "서울"), ("piece", " 입니다"),
    ]  # fmt: skip
    assert answer.trace.counts["answer.restarted"] == 1


async def test_an_answer_that_always_breaks_off_is_an_error(stages: Stages) -> None:
    with pytest.raises(StageError, match="broke off"):
        await run(replace(stages, generator=Breaking(9)))


# the language of the answer


def guarded(stages: Stages, *replies: str, repairs: bool = True, **more: Any) -> Stages:
    left = list(replies)
    generator = FakeGenerator(lambda messages: left.pop(0))
    return replace(stages, guard=LanguageGuard(ScriptDetector(), repairs=repairs), generator=generator, **more)


def asked(stages: Stages) -> list[list[Message]]:
    assert isinstance(stages.generator, FakeGenerator)
    return [messages for messages, _ in stages.generator.seen]


async def test_an_answer_in_another_language_is_requested_again(stages: Stages) -> None:
    repairing = guarded(stages, ENGLISH, "나라의 수도입니다.")
    answer = await run(repairing)
    assert (answer.text, answer.language_check) == ("나라의 수도입니다.", "asked again")
    assert [message["role"] for message in asked(repairing)[1]] == ["system", "user", "assistant", "user"]
    assert "한국어" in asked(repairing)[1][-1]["content"]
    assert answer.trace.counts["answer.language_was_wrong"] == answer.trace.counts["answer.language_asked_again"] == 1


async def test_a_second_answer_in_another_language_is_translated(stages: Stages) -> None:
    events: list[Event] = []
    answer = await run(guarded(stages, ENGLISH, ENGLISH, emit=events.append))
    assert (answer.text, answer.language_check) == (f"ko<{ENGLISH}>", "translated")
    assert events[-1] == Event("piece", text=answer.text)
    assert any("it was translated" in note for note in answer.trace.notes)


async def test_without_a_translator_the_answer_is_unchanged_and_marked_as_wrong(stages: Stages) -> None:
    answer = await run(guarded(stages, ENGLISH, ENGLISH, translator=None), "base")
    assert (answer.text, answer.language_check) == (ENGLISH, "wrong")


async def test_a_guard_that_reports_changes_nothing(stages: Stages) -> None:
    reporting = guarded(stages, ENGLISH, repairs=False)
    answer = await run(reporting)
    assert (answer.text, answer.language_check, len(asked(reporting))) == (ENGLISH, "wrong", 1)
    assert any("another language (en)" in note for note in answer.trace.notes)


async def test_a_number_has_no_language(stages: Stages) -> None:
    assert (await run(guarded(stages, "1903"))).language_check == "cannot tell"


async def test_the_second_request_names_a_language_without_prompts_in_that_language(stages: Stages) -> None:
    repairing = guarded(stages, "다리는 1903년에 개통되었다.", "De brug werd geopend.")
    strategy, _ = strategy_options("base", {})
    await strategy(Query("wanneer", Lang("nl")), repairing)
    assert "Nederlands" in asked(repairing)[1][-1]["content"]


# abstentions and citations


@pytest.mark.parametrize("lang", ["ko", "fi", "zh", "en", "de"])
async def test_an_abstention_is_recognised(stages: Stages, lang: str) -> None:
    unknown = stages.prompts.answer(Lang(lang)).unknown
    strategy, _ = strategy_options("base", {})
    for said in (unknown, f'"{unknown}"', unknown.rstrip(".。"), f"{unknown} [1]"):
        abstaining = replace(stages, generator=FakeGenerator(lambda messages, said=said: said), trace=Trace())  # type: ignore[misc]
        answer = await strategy(Query("서울", Lang(lang)), abstaining)
        assert answer.abstained
        assert answer.trace.counts["answer.abstained"] == 1


async def test_an_answer_is_not_an_abstention(stages: Stages) -> None:
    assert not (await run(stages)).abstained


async def test_markers_are_requested_only_if_configured(stages: Stages) -> None:
    for citations in (False, True):
        asking = replace(stages, citations=citations, generator=FakeGenerator(lambda messages: "서울 [1] [8]"))
        answer = await run(asking)
        assert ("[2]" in asked(asking)[0][0]["content"]) is citations
        assert answer.text == ("서울 [1]" if citations else "서울 [1] [8]")
        assert answer.citations.passages == (1,)
        assert answer.trace.counts["answer.citations_of_no_passage"] == 1


async def test_an_omitted_passage_cannot_be_cited(stages: Stages) -> None:
    long = [Passage(f"ko-{n}", "서울. " + "수도 문장이다. " * 100, Lang("ko")) for n in range(4)]
    narrow = replace(stages, top_k=4, depth=4, retriever=FakeRetriever(long))
    answer = await run(replace(narrow, generator=FakeGenerator(lambda messages: "수도 [4]", context=700)))
    assert answer.citations.unknown == (4,)
    assert 4 not in answer.citations.passages
