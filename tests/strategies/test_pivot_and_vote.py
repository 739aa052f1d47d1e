"""Strategies that answer in another language than the question's, on the shipped fakes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from qttrag.application.factory import strategy_options
from qttrag.errors import StageUnavailable
from qttrag.pipeline.stages import Stages
from qttrag.prompts import Prompts
from qttrag.rerankers.none import NoReranker
from qttrag.testing import FakeGenerator, FakeRetriever, FakeTagger, FakeTranslator
from qttrag.trace import Trace
from qttrag.types import Answer, Event, Lang, Message, Passage, Query, Translation

KO = Lang("ko")
QUERY = Query("서울은 어디에 있는가?", KO)
PASSAGES = [Passage("en-1", "Seoul lies on the Han 서울은", Lang("en")), Passage("ko-1", "서울은 한강에 있다", KO)]
SYSTEMS = {"Answer the question": "en", "Beantworte die Frage": "de", "질문에 답하십시오": "ko"}

Reply = Callable[[str], str]


def lang_of(messages: Sequence[Message]) -> str:
    """Return the language of an answer prompt."""
    return next(lang for words, lang in SYSTEMS.items() if words in messages[0]["content"])


def stages_with(replies: dict[str, str], **more: Any) -> Stages:
    """Return stages whose generator has one reply for each language of the prompt."""
    return Stages(
        retriever=FakeRetriever(PASSAGES),
        reranker=NoReranker(),
        translator=FakeTranslator(),
        tagger=FakeTagger(),
        generator=FakeGenerator(lambda messages: replies[lang_of(messages)]),
        prompts=Prompts(),
        depth=2,
        top_k=2,
        **more,
    )


async def ask(stages: Stages, name: str, **options: Any) -> Answer:
    run, checked = strategy_options(name, options)
    answer: Answer = await run(QUERY, stages, **checked)
    return answer


async def test_a_pivot_answer_is_reached_in_the_pivot_and_translated() -> None:
    stages = stages_with({"en": "On the Han"})
    answer = await ask(stages, "pivot_answer")
    assert answer.text == (await FakeTranslator().translate(["On the Han"], [Lang("en")], KO))[0].text
    assert answer.lang == "ko"
    assert [p.translation is None for p in answer.context] == [p.passage.lang == "en" for p in answer.context]


async def test_only_the_translation_of_a_pivot_answer_is_streamed() -> None:
    events: list[Event] = []
    answer = await ask(stages_with({"en": "On the Han"}, emit=events.append), "pivot_answer")
    assert [event.text for event in events if event.kind == "piece"] == [answer.text]
    assert {"ranked", "translated", "tagged"} <= {event.kind for event in events}


async def test_a_pivot_answer_keeps_its_markers() -> None:
    answer = await ask(stages_with({"en": "On the Han [1]."}, citations=True), "pivot_answer")
    assert answer.text.endswith(" [1]")
    assert answer.citations.passages == (1,)


async def test_an_abstention_in_the_pivot_is_the_sentence_of_the_question() -> None:
    prompts = Prompts()
    answer = await ask(stages_with({"en": prompts.answer(Lang("en")).unknown}), "pivot_answer")
    assert answer.abstained
    assert answer.text == prompts.answer(KO).unknown


class FailingOnAnswers(FakeTranslator):
    """Translates everything but what the generator said."""

    async def translate(self, texts: Sequence[str], source: Sequence[Lang], target: Lang) -> list[Translation]:
        if "On the Han" in texts:
            raise StageUnavailable("translator", "is down")
        return await super().translate(texts, source, target)


async def test_a_pivot_answer_without_a_translator_stays_in_the_pivot_and_says_so() -> None:
    trace = Trace()
    stages = replace(stages_with({"en": "On the Han"}, trace=trace), translator=FailingOnAnswers())
    answer = await ask(stages, "pivot_answer")
    assert (answer.text, answer.lang) == ("On the Han", "en")
    assert any("the answer is not translated" in note for note in trace.degraded)
    with pytest.raises(StageUnavailable):
        await ask(replace(stages, degrade=False), "pivot_answer")


# vote


class Silent(FakeTranslator):
    """Returns every text as it is."""

    async def translate(self, texts: Sequence[str], source: Sequence[Lang], target: Lang) -> list[Translation]:
        return [Translation(text) for text in texts]


async def vote(replies: dict[str, str], *langs: str, **more: Any) -> Answer:
    return await ask(replace(stages_with(replies, **more), translator=Silent()), "vote", langs=list(langs))


async def test_the_answer_that_most_languages_agree_on_wins() -> None:
    answer = await vote({"ko": "부산", "en": "한강", "de": "한강 가"}, "en", "de")
    assert answer.text == "한강"


async def test_the_language_of_the_question_wins_among_equals() -> None:
    assert (await vote({"ko": "부산", "en": "한강"}, "en")).text == "부산"


async def test_an_abstention_has_no_vote_against_an_answer() -> None:
    unknown = {lang: Prompts().answer(Lang(lang)).unknown for lang in ("ko", "en", "de")}
    assert (await vote({"ko": unknown["ko"], "en": "한강"}, "en")).text == "한강"
    answer = await vote({"ko": "부산", "en": unknown["en"], "de": unknown["de"]}, "en", "de")
    assert answer.abstained
    assert answer.text == unknown["ko"]


async def test_a_vote_streams_the_winner_and_notes_every_answer() -> None:
    events: list[Event] = []
    trace = Trace()
    answer = await vote({"ko": "부산", "en": "한강", "de": "한강"}, "en", "de", emit=events.append, trace=trace)
    assert [event.text for event in events if event.kind == "piece"] == [answer.text] == ["한강"]
    assert [event.kind for event in events].count("ranked") == 1
    assert trace.counts["vote.agreeing"] == 2
    assert sum("the answer through" in note for note in trace.notes) == 3
