"""What the language model learns from beside the corpus: real translations, other subjects, names that are alike."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from demo.facts import LANGS
from demo.invented import namesake, pools
from demo.outside import OTHER_SUBJECTS, another_subject
from demo.tasks import lesson
from demo.train import MODELS
from demo.translated import Original, original, read, write, wrong_share
from qttrag.prompts import Prompts
from qttrag.types import Lang


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("translated") / "translations.json"
    write(path, MODELS / "translator", 24)
    return path


def _into(lang: str, section: str) -> Original:
    passages = (original(number) for number in range(1000))
    return next(each for each in passages if (each.lang, each.section) == (lang, section) and len(each.stated()) == 3)


def test_translations_are_read_with_the_passages_they_are_of(written: Path) -> None:
    by_lang = read(written)
    translations = [each for lang in LANGS for each in by_lang[lang]]
    assert len(translations) > 12
    assert all(each.original.lang == lang for lang in LANGS for each in by_lang[lang])
    for each in translations:
        assert (each.wrong == 0.0) >= (each.text == each.original.written(each.original.lang))


@pytest.mark.parametrize("lang", LANGS)
def test_a_right_translation_has_no_wrong_sentence(lang: str) -> None:
    whose = _into(lang, "time")
    assert wrong_share(whose, whose.written(lang)) == 0.0


def test_a_wrong_value_is_one_wrong_sentence_and_a_missing_sentence_is_not_judged() -> None:
    whose = _into("zh", "time")
    text = whose.written("zh")
    city = whose.owner.facts["city"]["zh"]
    assert wrong_share(whose, text.replace(city, "?")) == 0.25
    assert wrong_share(whose, text[: text.index("。") + 1]) is None


def test_questions_for_training_are_not_those_for_measuring() -> None:
    choose = random.Random(0)
    for lang in LANGS:
        drawn = {another_subject(choose, lang) for _ in range(500)}
        assert len(drawn) > 300
        assert not drawn & set(OTHER_SUBJECTS[lang])


def test_a_question_on_another_subject_is_answered_so() -> None:
    lines = {another_subject(random.Random(n), "en") for n in range(2000)}
    turns = [turn for n in range(200) for turn in lesson(random.Random(n), most_passages=2)]
    asked = [(turn.messages[-1]["content"].rpartition("Question: ")[2], turn.reply) for turn in turns]
    outside = [(question, said) for question, said in asked if question in lines]
    assert outside
    assert {said for _, said in outside} == {Prompts().answer(Lang("en")).unknown}


def test_real_translations_are_shown_and_scored(written: Path) -> None:
    translations = read(written)
    texts = [each.text for made in translations.values() for each in made]
    turns = [turn for n in range(60) for turn in lesson(random.Random(n), most_passages=3, translations=translations)]
    shown = [turn for turn in turns if any(text in turn.messages[-1]["content"] for text in texts)]
    assert any(turn.reply.startswith("{") for turn in shown)
    assert any(not turn.reply.startswith("{") for turn in shown)


def test_a_namesake_ends_with_the_same_word() -> None:
    names = {name["en"]: name for name in pools()["currency"]}
    found = namesake(random.Random(0), names["West African CFA franc"], "en")
    assert found
    assert found["en"] != "West African CFA franc"
    assert found["en"].endswith(" franc")
