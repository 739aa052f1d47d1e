from __future__ import annotations

import pytest

from qttrag.pipeline.answer_writer import AnswerWriter
from qttrag.prompts import Prompts, Style
from qttrag.testing import FakeGenerator
from qttrag.trace import Trace
from qttrag.types import AnswerStyle, Event, Lang, Passage, QualityScores, Query, TaggedPassage

SCORED = TaggedPassage(Passage("en-1", "Seoul.", Lang("en")), "서울.", QualityScores(4.5, 4, 3))


def writer(
    generator: FakeGenerator, events: list[Event], *, style: AnswerStyle = "short", extractive: bool = False
) -> AnswerWriter:
    return AnswerWriter(
        generator,
        Prompts(),
        None,
        None,
        style=style,
        max_tokens=16,
        citations=False,
        extractive=extractive,
        emit=events.append,
    )


async def test_an_answer_needs_only_a_generator_and_prompts() -> None:
    events: list[Event] = []
    answer = await writer(FakeGenerator(lambda messages: "서울 입니다"), events).write(
        Query("수도는?", Lang("ko")), [SCORED], "plain", Trace()
    )
    assert answer.text == "서울 입니다"
    assert [event.text for event in events] == ["서울", " 입니다"]
    assert answer.language_check == "off"


@pytest.mark.parametrize(("style", "shown"), [("plain", False), ("tagged", True), ("tagged_without_scores", False)])
async def test_only_the_tagged_style_shows_scores(style: Style, shown: bool) -> None:
    generator = FakeGenerator()
    await writer(generator, []).write(Query("수도는?", Lang("ko")), [SCORED], style, Trace())
    ((messages, _),) = generator.seen
    assert ("4.5/5" in messages[1]["content"]) is shown


async def test_an_extractive_answer_is_copied_from_what_the_generator_reads() -> None:
    generator = FakeGenerator()
    await writer(generator, [], extractive=True).write(Query("수도는?", Lang("ko")), [SCORED], "tagged", Trace())
    ((_, decoding),) = generator.seen
    assert decoding.quote == (("서울.",), Prompts().answer(Lang("ko")).unknown)


async def test_only_short_answers_are_extractive() -> None:
    generator = FakeGenerator()
    asked = writer(generator, [], style="sentences", extractive=True)
    await asked.write(Query("수도는?", Lang("ko")), [SCORED], "tagged", Trace())
    ((_, decoding),) = generator.seen
    assert decoding.quote is None


async def test_an_answer_is_expected_in_the_scripts_of_its_language_and_of_the_question() -> None:
    generator = FakeGenerator()
    for text, lang in (("수도는?", "ko"), ("Nokia의 본사는?", "ko"), ("首都は?", "ja"), ("Дом? 1", "fi")):
        await writer(generator, []).write(Query(text, Lang(lang)), [SCORED], "plain", Trace())
    scripts = [decoding.scripts for _, decoding in generator.seen]
    assert scripts == [("Hang",), ("Hang", "Latn"), ("Hani", "Kana"), ("Cyrl", "Latn")]


async def test_an_answer_from_a_passage_in_another_language_is_free() -> None:
    generator = FakeGenerator()
    foreign = TaggedPassage(Passage("en-2", "Seoul.", Lang("en")))
    await writer(generator, [], extractive=True).write(
        Query("수도는?", Lang("ko")), [SCORED, foreign], "plain", Trace()
    )
    ((_, decoding),) = generator.seen
    assert decoding.quote is None
