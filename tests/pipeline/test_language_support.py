"""Passages in many languages, some of which no model knows, in one collection."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from qttrag.application.factory import strategy_options
from qttrag.pipeline.language_guard import LanguageGuard
from qttrag.pipeline.language_support import score_supported
from qttrag.pipeline.stages import Stages
from qttrag.prompts import Prompts
from qttrag.protocols import Translator
from qttrag.rerankers.none import NoReranker
from qttrag.taggers.llm import LLMTagger
from qttrag.testing import FakeDetector, FakeGenerator, FakeRetriever, FakeTagger, FakeTranslator
from qttrag.trace import Trace
from qttrag.translators.m2m100 import M2M100Translator
from qttrag.translators.madlad import MadladTransformersTranslator
from qttrag.translators.nllb import NllbTransformersTranslator, NllbTranslator
from qttrag.types import Answer, Lang, Passage, Query, Verdict
from tests import tiny_models

TEXTS = {
    "ar": "تقع المدينة على ساحل البحر.",
    "bn": "শহরটি নদীর তীরে অবস্থিত।",
    "de": "Die Stadt liegt am Meer.",
    "en": "The city lies by the sea.",
    "es": "La ciudad está junto al mar.",
    "fa": "این شهر در کنار دریا است.",
    "fi": "Kaupunki on meren rannalla.",
    "fr": "La ville est au bord de la mer.",
    "hi": "यह शहर समुद्र के किनारे है।",
    "id": "Kota itu terletak di tepi laut.",
    "ja": "その町は海のそばにある。",
    "ko": "그 도시는 바닷가에 있다.",
    "ru": "Город стоит у моря.",
    "sw": "Mji uko kando ya bahari.",
    "te": "నగరం సముద్రం పక్కన ఉంది.",
    "th": "เมืองนี้อยู่ติดทะเล",
    "yo": "Ìlú náà wà lẹ́bàá òkun.",
    "zh": "这座城市在海边。",
    "und": "Ƕ Ƕ Ƕ",
    "xx": "Zorb mela qint.",
    "tlh": "veng tIn",
}
"""A passage in each of 18 languages, of an unknown language, and with two codes that no table has."""
KO = Lang("ko")
QUERY = Query("바닷가 도시는?", KO)
PASSAGES = [*(Passage(lang, text, Lang(lang)) for lang, text in TEXTS.items()), Passage("number", "1903", Lang("xx"))]


def stages(translator: Translator, tagger: Any = None) -> Stages:
    return Stages(
        retriever=FakeRetriever(PASSAGES),
        reranker=NoReranker(),
        translator=translator,
        tagger=tagger or FakeTagger(),
        generator=FakeGenerator(lambda messages: "부산"),
        prompts=Prompts(),
        depth=len(PASSAGES),
        top_k=len(PASSAGES),
    )


async def ask(stages: Stages, strategy: str, query: Query = QUERY, **options: Any) -> Answer:
    run, checked = strategy_options(strategy, options)
    answer: Answer = await run(query, stages, **checked)
    return answer


def tiny_translators(folder: Path, tiny: Path) -> dict[str, Translator]:
    tiny_models.make_m2m100(folder / "m2m100")
    tiny_models.make_madlad(folder / "madlad")
    settings: dict[str, Any] = {"device": "cpu", "beam_size": 1}
    return {
        "nllb": NllbTranslator(str(tiny / "nllb"), **settings),
        "nllb_transformers": NllbTransformersTranslator(str(tiny / "nllb"), **settings),
        "m2m100": M2M100Translator(str(folder / "m2m100"), **settings),
        "madlad_transformers": MadladTransformersTranslator(str(folder / "madlad"), **settings),
    }


@pytest.fixture(scope="module")
def translators(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Translator]:
    return tiny_translators(tmp_path_factory.mktemp("translators"), tiny)


SUPPORTED = {
    "nllb": set(TEXTS) - {"und", "xx", "tlh"},
    "nllb_transformers": set(TEXTS) - {"und", "xx", "tlh"},
    "m2m100": set(TEXTS) & set(tiny_models.M2M100_LANGS),
    "madlad_transformers": set(TEXTS),  # its input names the target alone
}


@pytest.mark.parametrize("strategy", ["cross_rag", "qtt_rag", "hard_filter", "dkm_rag"])
@pytest.mark.parametrize("kind", SUPPORTED)
async def test_a_collection_of_twenty_languages_is_read_with_any_translator(
    kind: str, strategy: str, translators: dict[str, Translator]
) -> None:
    answer = await ask(stages(translators[kind]), strategy)
    assert answer.text == "부산"
    assert len(answer.context) == len(PASSAGES)
    translated = {p.passage.passage_id for p in answer.context if p.translation is not None}
    assert translated == SUPPORTED[kind] - {"ko", "und"}
    flagged = {p.passage.passage_id for p in answer.context if "unsupported" in p.flags}
    assert flagged == TEXTS.keys() - SUPPORTED[kind] - {"und"}
    assert answer.trace.counts["translate.unsupported_language"] == len(flagged)


class StrictTagger(FakeTagger):
    """Fails on a text that is read untranslated."""

    async def score(
        self, originals: Sequence[str], translations: Sequence[str], source: Sequence[Lang], target: Lang
    ) -> list[Verdict]:
        assert not {"th", "xx"} & set(source)
        return await super().score(originals, translations, source, target)


@pytest.mark.parametrize("strategy", ["qtt_rag", "hard_filter"])
async def test_a_passage_that_is_not_translated_is_not_scored(strategy: str) -> None:
    answer = await ask(stages(FakeTranslator(unsupported={"th", "xx"}), StrictTagger()), strategy)
    by_lang = {p.passage.lang: p for p in answer.context if p.passage.passage_id != "number"}
    assert (by_lang[Lang("th")].translation, by_lang[Lang("th")].unscored) == (None, None)
    assert by_lang[Lang("en")].scores


async def test_unsupported_languages_are_noted_once_a_question_with_the_target() -> None:
    answer = await ask(stages(FakeTranslator(unsupported={"th", "xx", "tlh"})), "qtt_rag")
    notes = [note for note in answer.trace.notes if "does not support" in note]
    assert notes == [
        "passages are read untranslated, because the translator does not support Thai (th), 'tlh', 'xx' to Korean (ko)"
    ]
    assert answer.trace.counts["translate.unsupported_language"] == 3


async def test_the_originals_are_read_if_the_translator_does_not_support_the_target() -> None:
    tagger = FakeTagger()
    answer = await ask(stages(FakeTranslator(unsupported={"ko"}), tagger), "qtt_rag")
    assert all(p.translation is None for p in answer.context)
    assert tagger.seen == []
    assert any(note.endswith("to Korean (ko)") for note in answer.trace.notes)


async def test_a_question_in_an_unsupported_language_is_searched_untranslated() -> None:
    answer = await ask(stages(FakeTranslator(unsupported={"ko"})), "query_translation")
    assert answer.text == "부산"
    assert answer.trace.counts["translate_query.unsupported_language"] == 1
    (note,) = [note for note in answer.trace.notes if "does not support" in note]
    assert note.startswith("passages are searched with the question untranslated")
    assert note.endswith("Korean (ko) to English (en)")


async def test_an_answer_in_an_unsupported_language_is_left_as_it_is() -> None:
    repairing = replace(
        stages(FakeTranslator(unsupported={"fi"})),
        guard=LanguageGuard(FakeDetector("fi"), repairs=True),
        generator=FakeGenerator(lambda messages: "Busan on suuri kaupunki meren rannalla."),
    )
    answer = await ask(repairing, "base")
    assert answer.text == "Busan on suuri kaupunki meren rannalla."
    assert answer.language_check == "wrong"


async def test_a_translation_of_an_original_in_an_unknown_language_is_unscored_and_the_others_are_scored() -> None:
    reply = '{"semantic": 4.0, "grammar": 4.0, "fluency": 4.0}'
    tagger = LLMTagger(generator=FakeGenerator(lambda messages: reply), prompts=Prompts())
    trace = Trace()
    with trace.stage("tag"):
        verdicts = await score_supported(tagger, ["1903", "hei"], ["1903", "안녕"], [Lang("und"), Lang("fi")], KO)
    assert (verdicts[0].scores, verdicts[0].cause) == (None, "unsupported")
    assert verdicts[1].scores
    assert trace.counts["tag.unscored.unsupported"] == 1
