"""Names as sentences need them."""

from __future__ import annotations

import pytest

from demo.grammar import genitive, with_article, with_particles


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("핀란드", "핀란드는 핀란드를 핀란드로 핀란드라는"),
        ("한국", "한국은 한국을 한국으로 한국이라는"),
        ("브라질", "브라질은 브라질을 브라질로 브라질이라는"),
        ("AL", "AL은 AL을 AL로 AL이라는"),
        ("FM", "FM은 FM을 FM으로 FM이라는"),
        ("EU", "EU는 EU를 EU로 EU라는"),
    ],
)
def test_a_korean_particle_follows_the_last_sound(word: str, said: str) -> None:
    assert with_particles(f"{word}은(는) {word}을(를) {word}(으)로 {word}(이)라는") == said


def test_brackets_that_are_no_particle_stay() -> None:
    assert with_particles("영어이다(인구의 94%).") == "영어이다(인구의 94%)."


@pytest.mark.parametrize(
    ("name", "form"),
    [
        ("Suomi", "Suomen"),
        ("Ruotsi", "Ruotsin"),
        ("Tanska", "Tanskan"),
        ("Etelä-Korea", "Etelä-Korean"),
        ("Thaimaa", "Thaimaan"),
        ("Mansaari", "Mansaaren"),
        ("Vietnam", "Vietnamin"),
        ("Chile", "Chilen"),
        ("Réunion", "Réunionin"),
    ],
)
def test_a_regular_finnish_name_has_its_genitive(name: str, form: str) -> None:
    assert genitive(name) == form


@pytest.mark.parametrize(
    "name",
    [
        "Alankomaat",
        "Turkki",
        "Islanti",
        "Kypros",
        "Uusi-Seelanti",
        "Bosnia ja Hertsegovina",
        "Kongon tasavalta",
        "Meksiko",
    ],
)
def test_a_finnish_name_whose_stem_changes_has_no_genitive_here(name: str) -> None:
    assert genitive(name) is None


def test_english_names_take_the_article_where_they_need_it() -> None:
    assert with_article("Netherlands") == "the Netherlands"
    assert with_article("Cook Islands") == "the Cook Islands"
    assert with_article("Finland") == "Finland"
