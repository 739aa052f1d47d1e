"""The corpus: what is asked is stated where it is said to be, and nothing held out is taught."""

from __future__ import annotations

import gzip
import json
import random
from pathlib import Path

import pytest

from demo import corpus
from demo.facts import LANGS, Split, sheets
from demo.invented import invent, pools
from demo.tasks import DAMAGES, damage, lesson
from qttrag.taggers.verdicts import parse

SPLITS: tuple[Split, ...] = ("train", "dev", "test")


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    corpus.write(folder)
    return folder


def test_english_has_every_territory_and_each_other_language_a_quarter() -> None:
    covered = {lang: [sheet.code for sheet in sheets() if lang in sheet.covered] for lang in LANGS}
    assert len(covered["en"]) == len(sheets()) > 240
    for lang in LANGS[1:]:
        assert len(sheets()) / 4 - 3 <= len(covered[lang]) <= len(sheets()) / 4 + 3
    assert not set(covered["ko"]) & set(covered["fi"])


@pytest.mark.parametrize("split", SPLITS)
def test_every_gold_passage_exists_and_states_the_answer(split: Split) -> None:
    passages = {p.passage_id: p for sheet in sheets() for lang in sheet.covered for p in corpus.article(sheet, lang)}
    for question in corpus.questions(split):
        assert question.gold
        for passage_id in question.gold:
            passage = passages[passage_id]
            (stated, *_) = corpus.answers(question.relation, passage.lang, question.sheet.facts)
            assert stated.lower() in passage.text.lower(), (question.question_id, passage)


def test_no_placeholder_and_no_open_particle_is_left_in_any_text() -> None:
    texts = [p.title + p.text for sheet in sheets() for lang in LANGS for p in corpus.article(sheet, lang)]
    texts += [question.text for split in SPLITS for question in corpus.questions(split)]
    assert [
        text for text in texts if any(mark in text for mark in ("{", "}", "은(는)", "을(를)", "(으)로", "  "))
    ] == []


def test_the_corpus_is_the_same_each_time(written: Path, tmp_path: Path) -> None:
    corpus.write(tmp_path)
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == {p.name: p.read_bytes() for p in written.iterdir()}


def test_questions_come_in_the_formats_of_the_benchmarks(written: Path) -> None:
    xor = json.loads((written / "xor-test.jsonl").read_text("utf-8").splitlines()[1])
    assert set(xor) == {"id", "question", "answers", "lang", "split"}
    with gzip.open(written / "mkqa-test.jsonl.gz", "rt", encoding="utf-8") as file:
        mkqa = json.loads(file.readline())
    assert set(mkqa["queries"]) == set(mkqa["answers"]) == set(LANGS)
    assert set(mkqa["answers"]["ko"][0]) == {"type", "entity", "text", "aliases"}


def test_the_three_wordings_of_a_statement_stand_in_every_language() -> None:
    for lang in LANGS:
        read = corpus.templates(lang)
        assert set(read.statements) == {field for fields in corpus.SECTIONS.values() for field in fields}
        assert set(read.questions) == set(corpus.RELATIONS)
        for lines in (*read.statements.values(), *read.questions.values()):
            assert len(lines) == corpus.VARIANTS


def test_no_held_out_territory_is_taught() -> None:
    held_out = {sheet.name["en"] for sheet in sheets() if sheet.split != "train"}
    taught = {name["en"] for names in pools().values() for name in names}
    assert not held_out & taught
    choose = random.Random(0)
    assert not held_out & {invent(choose).name["en"] for _ in range(2000)}


def test_a_lesson_has_one_beginning_and_answers_in_the_language_asked() -> None:
    choose = random.Random(0)
    for _ in range(50):
        turns = lesson(choose, most_passages=3)
        assert len({turn.messages[0]["content"] for turn in turns}) == 1
        assert all(turn.reply.strip() for turn in turns)


@pytest.mark.parametrize("spoiled", [d for d in DAMAGES if d not in ("number", "name", "value")])
def test_damage_costs_points(spoiled: str) -> None:
    choose = random.Random(1)
    owner = invent(choose)
    whole = damage(choose, owner, "currency", [0, 0, 0], "en", "ko", [])
    assert whole.scores.values() == (5.0, 5.0, 5.0)
    assert sum(damage(choose, owner, "currency", [0, 0, 0], "en", "ko", [spoiled]).scores.values()) < 15.0


def test_a_wrong_fact_costs_meaning_alone() -> None:
    choose = random.Random(1)
    for spoiled in ("name", "value", "number"):
        results = [
            damage(choose, invent(choose), "currency", [0, 0, 0], "en", "ko", [spoiled]).scores for _ in range(20)
        ]
        assert min(scores.semantic for scores in results) < 5.0
        assert all(scores.grammar == scores.fluency == 5.0 for scores in results)


def test_a_score_lesson_is_answered_as_the_tagger_reads_it() -> None:
    choose = random.Random(3)
    replies = [turn.reply for _ in range(60) for turn in lesson(choose, most_passages=2) if turn.reply.startswith("{")]
    assert replies
    assert all(parse(reply, {}).scores is not None for reply in replies)
