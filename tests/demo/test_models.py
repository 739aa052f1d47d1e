"""The shipped models, through the public loaders and through the product, on territories they were not trained on."""

from __future__ import annotations

import asyncio
import random
import statistics
from typing import Any

import pytest

from demo.corpus import SECTIONS, Question, article, questions, section_text, stated, statement
from demo.facts import LANGS, sheets
from demo.invented import Territory
from demo.tasks import damage
from demo.train import MODELS
from qttrag.application.application import Application
from qttrag.evaluation.metrics.bergen import score
from qttrag.translators.nllb import NllbTransformersTranslator, NllbTranslator
from qttrag.types import AskRequest, Lang, Passage, Query, TaggedPassage

pytestmark = pytest.mark.usefixtures("at_home")
TESTED = [sheet for sheet in sheets() if sheet.split == "test"]
STRATEGIES = ("base", "cross_rag", "dkm_rag", "qtt_rag", "hard_filter", "query_translation")


def some_questions(n: int) -> list[Question]:
    return random.Random(1).sample(list(questions("test")), n)


def test_the_models_load_through_the_public_loaders() -> None:
    from sentence_transformers import SentenceTransformer
    from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM

    encoder = SentenceTransformer(str(MODELS / "encoder"), device="cpu")
    assert encoder.encode(["핀란드의 통화는?", "Suomen valuutta"]).shape == (2, 192)
    loaded: list[Any] = [
        AutoModelForSeq2SeqLM.from_pretrained(MODELS / "translator"),
        AutoModelForCausalLM.from_pretrained(MODELS / "language-model"),
    ]
    assert [model.config.model_type for model in loaded] == ["m2m_100", "llama"]


async def test_the_gold_passage_is_among_the_first_five() -> None:
    asked = [q for q in some_questions(400) if q.lang in q.sheet.covered][:80]
    async with Application.open("demo") as application:
        retrieve = application.stages.retriever.retrieve
        found = await asyncio.gather(*(retrieve(Query(q.text, Lang(q.lang), ""), 5) for q in asked))
    hit = [
        any(h.passage.passage_id.split("#")[0] in q.gold for h in hits) for q, hits in zip(asked, found, strict=True)
    ]
    assert statistics.fmean(hit) >= 0.95


@pytest.mark.parametrize("target", LANGS[1:])
async def test_ctranslate2_gives_what_transformers_gives(target: str) -> None:
    texts = [statement(f, 1, "en", s.name, s.facts) for s in TESTED[:10] for p in SECTIONS for f in stated(p, s.facts)]
    model = str(MODELS / "translator")
    made = [
        await translator.translate(texts, [Lang("en")] * len(texts), Lang(target))
        for translator in (
            NllbTranslator(model, device="cpu", compute_type="float32", beam_size=1),
            NllbTransformersTranslator(model, device="cpu", beam_size=1),
        )
    ]
    assert made[0] == made[1]


async def test_damage_lowers_the_scores() -> None:
    choose = random.Random(0)
    whole, spoiled, originals = [], [], []
    for sheet in TESTED[:24]:
        section = choose.choice([s for s in SECTIONS if stated(s, sheet.facts)])
        variants = [0] * len(SECTIONS[section])
        text = section_text(section, variants, "en", sheet.name, sheet.facts)
        originals.append(Passage("", text, Lang("en"), title=sheet.name["en"]).content)
        owner = Territory(sheet.name, sheet.facts)
        whole.append(damage(choose, owner, section, variants, "en", "ko", []).text)
        spoiled.append(damage(choose, owner, section, variants, "en", "ko", ["untranslated", "order"]).text)
    async with Application.open("demo") as application:
        tagger = application.stages.tagger
        assert tagger is not None
        lang = [Lang("en")] * len(originals)
        good, bad = [await tagger.score(originals, texts, lang, Lang("ko")) for texts in (whole, spoiled)]
    assert all(verdict.scores for verdict in [*good, *bad])
    means = [statistics.fmean(sum(v.scores.values()) for v in some if v.scores) for some in (good, bad)]
    assert means[0] > means[1] + 1.0


async def test_the_answer_is_read_from_the_passage() -> None:
    asked = some_questions(60)
    async with Application.open("demo") as application:
        reading = []
        for question in asked:
            section = question.gold[0].rsplit("-", 1)[1]
            (gold,) = [p for p in article(question.sheet, question.lang) if p.passage_id.endswith(f"-{section}")]
            passage = TaggedPassage(Passage("", gold.text, Lang(question.lang), title=gold.title))
            query = Query(question.text, Lang(question.lang), "")
            reading.append(application.stages.answer(query, [passage], style="tagged"))
        said = [answer.text for answer in await asyncio.gather(*reading)]
    assert statistics.fmean(score(t, q.answers).char3 for t, q in zip(said, asked, strict=True)) >= 0.75


@pytest.mark.parametrize("strategy", STRATEGIES)
async def test_every_strategy_answers_in_four_languages(strategy: str) -> None:
    asked = [
        "What is the currency of Benin?",
        "베냉의 통화는 무엇입니까?",
        "Mikä on Ugandan valuutta?",
        "贝宁的货币是什么？",
    ]
    async with Application.open("demo") as application:
        requests = [AskRequest(question, strategy=strategy) for question in asked]
        answers = await asyncio.gather(*map(application.ask, requests))
    assert [answer.lang for answer in answers] == list(LANGS)
    assert all(answer.text for answer in answers)
