"""The strategies on the shipped fakes."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from typing import Any

import pytest

from qttrag.application.factory import strategy_options
from qttrag.errors import ConfigError, StageError
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
    Passage("en-1", "서울 capital of Korea", Lang("en"), "Seoul"),
    Passage("en-2", "서울 is large", Lang("en")),
    Passage("ko-1", "서울 대한민국의 수도", Lang("ko")),
]
QUERY = Query("서울 수도", Lang("ko"), "q1")


def judge(text: str) -> Verdict:
    """Return bad scores for the second passage, good ones for others."""
    if "large" in text:
        return Verdict(QualityScores(1.0, 3.0, 4.0))
    return Verdict(QualityScores(4.5, 4.0, 3.5))


@pytest.fixture
def stages() -> Stages:
    return Stages(
        retriever=FakeRetriever(PASSAGES),
        reranker=NoReranker(),
        translator=FakeTranslator(),
        tagger=FakeTagger(judge),
        generator=FakeGenerator(lambda messages: "서울"),
        prompts=Prompts(),
        depth=3,
        top_k=3,
    )


async def run(stages: Stages, name: str, **options: Any) -> Answer:
    strategy, checked = strategy_options(name, options)
    answer: Answer = await strategy(QUERY, stages, **checked)
    return answer


def prompt(stages: Stages) -> str:
    assert isinstance(stages.generator, FakeGenerator)
    return "\n".join(message["content"] for message in stages.generator.seen[-1][0])


def translator_of(stages: Stages) -> FakeTranslator:
    assert isinstance(stages.translator, FakeTranslator)
    return stages.translator


def tagger_of(stages: Stages) -> FakeTagger:
    assert isinstance(stages.tagger, FakeTagger)
    return stages.tagger


async def test_base_reads_passages_untranslated(stages: Stages) -> None:
    answer = await run(stages, "base")
    assert answer.text == "서울"
    assert [p.translation for p in answer.context] == [None, None, None]
    assert translator_of(stages).seen == tagger_of(stages).seen == []
    assert "Seoul. 서울 capital of Korea" in prompt(stages)


async def test_cross_rag_translates_only_foreign_passages(stages: Stages) -> None:
    answer = await run(stages, "cross_rag")
    assert {p.passage.passage_id: p.translation for p in answer.context} == {
        "en-1": "ko<Seoul. 서울 capital of Korea>",
        "en-2": "ko<서울 is large>",
        "ko-1": None,
    }
    assert tagger_of(stages).seen == []


@pytest.mark.parametrize("strategy", ["cross_rag", "qtt_rag"])
async def test_names_that_a_translation_hides_stand_in_the_header_of_the_passage(stages: Stages, strategy: str) -> None:
    class Hiding(FakeTranslator):
        async def translate(self, texts: Sequence[str], source: Sequence[Lang], target: Lang) -> list[Translation]:
            return [Translation("서울은 수도이다.") for _ in texts]

    passages = [Passage("en-1", "서울 is the capital, Seoul.", Lang("en"), "Seoul"), PASSAGES[-1]]
    showing = replace(stages, retriever=FakeRetriever(passages), translator=Hiding(), original_names="latin")
    answer = await run(showing, strategy)
    assert {p.passage.passage_id: p.original_names for p in answer.context} == {"en-1": ("Seoul",), "ko-1": ()}
    assert answer.trace.counts["translate.original_names"] == 1
    (header,) = [line for line in prompt(showing).splitlines() if line.endswith(" · 원문의 이름: Seoul")]
    assert header.startswith("[")
    assert not any(p.original_names for p in (await run(replace(showing, original_names=None), strategy)).context)


async def test_cross_rag_can_translate_all_passages_into_one_language(stages: Stages) -> None:
    answer = await run(stages, "cross_rag", target="en")
    assert [p.translation for p in answer.context if p.translation] == ["en<서울 대한민국의 수도>"]


async def test_qtt_rag_scores_translations_and_not_originals(stages: Stages) -> None:
    answer = await run(stages, "qtt_rag")
    scores = {p.passage.passage_id: p.scores for p in answer.context}
    assert scores["ko-1"] is None
    assert scores["en-1"] == QualityScores(4.5, 4.0, 3.5)
    assert "4.5/5" in prompt(stages)
    assert prompt(stages).index("4.5/5") < prompt(stages).index("capital of Korea")


async def test_qtt_rag_with_inverted_tags_shows_the_contrary_and_says_so(stages: Stages) -> None:
    await run(stages, "qtt_rag", tags=True)
    measured = prompt(stages)
    await run(stages, "qtt_rag", tags="inverted")
    assert ("4.5" in measured, "4.0" in prompt(stages), "0.5" in prompt(stages)) == (True, True, True)
    assert any("not the measured ones but inverted" in note for note in stages.trace.notes)


async def test_oracle_tags_need_the_references_of_a_suite(stages: Stages) -> None:
    with pytest.raises(ConfigError, match="needs reference translations"):
        await run(stages, "qtt_rag", tags="oracle")
    await run(replace(stages, oracle=lambda passage, target: 0.5), "qtt_rag", tags="oracle")
    assert prompt(stages).count("2.5/5") == 6


async def test_qtt_rag_without_tags_uses_the_same_prompt_and_scores_nothing(stages: Stages) -> None:
    await run(stages, "qtt_rag", tags=False)
    without = stages.generator.seen[-1][0]  # type: ignore[attr-defined]
    await run(stages, "qtt_rag")
    with_tags = stages.generator.seen[-1][0]  # type: ignore[attr-defined]
    assert without[0] == with_tags[0]
    assert "/5" not in without[1]["content"]
    assert len(tagger_of(stages).seen) == 2


async def test_an_unscored_translation_has_a_cause_and_not_a_zero(stages: Stages) -> None:
    unreadable = replace(stages, tagger=FakeTagger(lambda text: Verdict(None, "unreadable")))
    answer = await run(unreadable, "qtt_rag")
    assert [p.unscored for p in answer.context if p.translation] == ["unreadable", "unreadable"]
    assert "0.0" not in prompt(unreadable)
    assert unreadable.prompts.tag(Lang("ko")).reason("unreadable") in prompt(unreadable)


async def test_hard_filter_drops_when_all_scores_are_low(stages: Stages) -> None:
    low = replace(stages, tagger=FakeTagger(lambda text: Verdict(QualityScores(1, 2, 3))))
    assert [p.passage.passage_id for p in (await run(low, "hard_filter")).context] == ["ko-1"]


async def test_hard_filter_keeps_a_translation_with_one_good_score_unless_drop_is_any(stages: Stages) -> None:
    assert len((await run(stages, "hard_filter")).context) == 3
    answer = await run(stages, "hard_filter", drop="any")
    assert [p.passage.passage_id for p in answer.context] == ["ko-1", "en-1"]
    assert answer.trace.counts["filter.dropped"] == 1


@pytest.mark.parametrize("drop", ["all", "any"])
@pytest.mark.parametrize(("semantic", "kept"), [(3.4, 1), (3.6, 3)])
async def test_hard_filter_decides_by_the_semantic_score_where_it_is_the_only_one(
    stages: Stages, drop: str, semantic: float, kept: int
) -> None:
    single = replace(stages, tagger=FakeTagger(lambda text: Verdict(QualityScores(semantic))))
    assert len((await run(single, "hard_filter", drop=drop)).context) == kept


async def test_hard_filter_drops_unscored_translations_only_if_drop_is_any(stages: Stages) -> None:
    unscored = replace(stages, tagger=FakeTagger(lambda text: Verdict(None, "unreadable")))
    assert len((await run(unscored, "hard_filter")).context) == 3
    assert len((await run(unscored, "hard_filter", drop="any")).context) == 1


async def test_hard_filter_refills_from_the_next_ranks(stages: Stages) -> None:
    narrow = replace(stages, top_k=2, retriever=FakeRetriever([PASSAGES[1], PASSAGES[0], PASSAGES[2]]))
    narrow = replace(narrow, tagger=FakeTagger(lambda text: Verdict(QualityScores(1, 1, 1))))
    assert len((await run(narrow, "hard_filter")).context) == 1
    refilled = await run(narrow, "hard_filter", refill=True, drop="all")
    assert [p.passage.passage_id for p in refilled.context] == ["ko-1"]
    assert refilled.trace.counts["filter.dropped"] == 3


async def test_dkm_rag_refines_every_passage_and_shows_both(stages: Stages) -> None:
    refining = replace(stages, generator=FakeGenerator(lambda messages: f"refined{len(messages[-1]['content'])}"))
    answer = await run(refining, "dkm_rag")
    assert all(p.refined and p.refined.startswith("refined") for p in answer.context)
    assert "refined" in prompt(refining)
    assert "capital of Korea" in prompt(refining)


@pytest.mark.parametrize(
    ("settings", "expected"), [("faithful", (200, 0.3, 0.95, 1.2)), ("as_released", (128, 0, 1, 1))]
)
async def test_dkm_rag_decodes_with_its_settings(stages: Stages, settings: str, expected: tuple[float, ...]) -> None:
    await run(stages, "dkm_rag", settings=settings)
    decoding = stages.generator.seen[0][1]  # type: ignore[attr-defined]
    assert (decoding.max_tokens, decoding.temperature, decoding.top_p, decoding.repetition_penalty) == expected


async def test_query_translation_searches_in_english_and_answers_the_original(stages: Stages) -> None:
    answer = await run(stages, "query_translation")
    assert translator_of(stages).seen == ["서울 수도"]
    assert answer.lang == "ko"
    assert "서울 수도" in prompt(stages)
    assert "en<" not in prompt(stages)


async def test_events_have_the_passages_after_every_step_and_then_the_answer(stages: Stages) -> None:
    events: list[Event] = []
    await run(replace(stages, emit=events.append), "qtt_rag")
    assert [event.kind for event in events] == ["ranked", "translated", "tagged", "piece"]


async def test_the_trace_times_every_stage(stages: Stages) -> None:
    answer = await run(stages, "qtt_rag")
    assert list(answer.trace.seconds) == ["retrieve", "rerank", "translate", "tag", "answer"]


class RecordingRetriever(FakeRetriever):
    """Records its questions."""

    questions: list[str]

    async def retrieve(self, query: Query, k: int) -> list[Hit]:
        self.questions = [*getattr(self, "questions", []), query.text]
        return await super().retrieve(query, k)


@pytest.mark.parametrize("strategy", ["qtt_rag", "query_translation"])
async def test_a_question_is_searched_without_typographic_variants_and_shown_as_it_is(
    stages: Stages, strategy: str
) -> None:
    retriever, question = RecordingRetriever(PASSAGES), "서\u00ad울 Ｎｏｋｉａ"
    run, options = strategy_options(strategy, {})
    answer = await run(Query(question, Lang("ko")), replace(stages, retriever=retriever), **options)
    assert retriever.questions == ["서울 Nokia" if strategy == "qtt_rag" else "en<서울 Nokia>"]
    assert answer.query.text == question


async def test_a_search_without_hits_is_answered_and_noted(stages: Stages) -> None:
    answer = await run(replace(stages, retriever=FakeRetriever([])), "qtt_rag")
    assert answer.context == ()
    assert "no passage was found" in answer.trace.notes


async def test_a_passage_of_unknown_language_is_read_untranslated_and_noted(stages: Stages) -> None:
    unknown = replace(stages, retriever=FakeRetriever([Passage("x", "서울 ???", Lang("und"))]))
    answer = await run(unknown, "qtt_rag")
    assert answer.context[0].translation is None
    assert answer.trace.counts["translate.language_unknown"] == 1


async def test_a_missing_translator_is_named(stages: Stages) -> None:
    with pytest.raises(ConfigError, match="needs a translator; add"):
        await run(replace(stages, translator=None), "qtt_rag")


async def test_base_needs_neither_translator_nor_tagger(stages: Stages) -> None:
    assert (await run(replace(stages, translator=None, tagger=None), "base")).text == "서울"


async def test_passages_are_shortened_to_the_context_and_counted(stages: Stages) -> None:
    long = [Passage(f"ko-{n}", "서울. " + "수도 문장이다. " * 200, Lang("ko")) for n in range(3)]
    narrow = replace(stages, retriever=FakeRetriever(long), generator=FakeGenerator(context=1000))
    answer = await run(narrow, "qtt_rag")
    assert answer.trace.counts["answer.sentences_left_out"] > 100
    assert any("did not fit" in note for note in answer.trace.notes)


async def test_a_note_has_the_numbers_of_shortened_and_omitted_passages(stages: Stages) -> None:
    long = [Passage(f"ko-{n}", "서울. " + "수도 문장이다. " * 100, Lang("ko")) for n in range(4)]
    narrow = replace(stages, top_k=4, depth=4, retriever=FakeRetriever(long), generator=FakeGenerator(context=700))
    (note,) = (await run(narrow, "qtt_rag")).trace.notes
    assert re.match(r"passages 3, 4 left out and passage 2 cut: \d+ sentences did not fit", note)


async def test_dropping_every_passage_is_noted(stages: Stages) -> None:
    low = replace(stages, tagger=FakeTagger(lambda text: Verdict(QualityScores(1, 2, 3))))
    foreign = replace(low, retriever=FakeRetriever(PASSAGES[:2]))
    for refill in (False, True):
        answer = await run(foreign, "hard_filter", refill=refill)
        assert answer.context == ()
        assert any("every passage was dropped" in note for note in answer.trace.notes)
    assert (await run(replace(low, trace=Trace()), "hard_filter")).trace.notes == []


class Copying(NoReranker):
    """Returns equal passages that are other objects, as a reranker behind a server would."""

    async def rerank(self, query: Query, hits: Sequence[Hit]) -> list[Hit]:
        return [replace(hit, passage=replace(hit.passage)) for hit in reversed(hits)]


async def test_a_reranker_may_return_copies_of_the_passages(stages: Stages) -> None:
    answer = await run(replace(stages, reranker=Copying()), "base")
    assert [p.retrieved_rank for p in answer.context] == [3, 2, 1]


async def test_a_failed_refinement_cancels_the_others_and_its_error_is_raised(stages: Stages) -> None:
    ended = []

    class Failing(FakeGenerator):
        async def generate(self, messages: Sequence[Message], decoding: Decoding) -> AsyncIterator[str]:
            if "large" in messages[-1]["content"]:
                raise StageError("generator", "died")
            try:
                await asyncio.sleep(60)
            finally:
                ended.append(messages)
            yield "never"

    with pytest.raises(StageError, match="generator: died"):
        await run(replace(stages, generator=Failing()), "dkm_rag")
    assert len(ended) == 2


async def test_a_language_without_prompts_uses_the_english_prompt_with_a_note(stages: Stages) -> None:
    strategy, _ = strategy_options("qtt_rag", {})
    answer = await strategy(Query("hoe heet de hoofdstad", Lang("nl")), stages)
    assert "Dutch" in prompt(stages)
    assert any("nl" in note for note in answer.trace.notes)


async def test_an_unknown_option_is_an_error_with_a_suggestion() -> None:
    with pytest.raises(ConfigError, match=r"unknown setting of strategy 'hard_filter': 'dorp'; did you mean 'drop'"):
        strategy_options("hard_filter", {"dorp": "any"})


async def test_an_invalid_option_value_is_an_error() -> None:
    with pytest.raises(ConfigError, match=r"strategy 'hard_filter': `drop: 'some'`"):
        strategy_options("hard_filter", {"drop": "some"})


async def test_an_unknown_strategy_is_an_error_with_a_suggestion() -> None:
    with pytest.raises(ConfigError, match=r"unknown strategy 'qtt_rga'; did you mean 'qtt_rag'"):
        strategy_options("qtt_rga", {})
