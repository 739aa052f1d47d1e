"""Numbers of an original that its translation lacks, in the forms of many languages."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qttrag.taggers.critical_errors.numbers import missing_numbers
from qttrag.types import Lang


def missing(original: str, translation: str, source: str, target: str) -> tuple[str, ...]:
    return missing_numbers(original, translation, Lang(source), Lang(target))


@pytest.mark.parametrize(
    ("original", "translation", "source", "target"),
    [
        ("It has 1,000 seats.", "Siinä on 1 000 paikkaa.", "en", "fi"),
        ("It has 1,000 seats.", "Er hat 1.000 Plätze.", "en", "de"),
        ("It has 250,000 residents.", "인구는 25만 명이다.", "en", "ko"),
        ("The company is worth 120 million dollars.", "회사의 가치는 1억 2천만 달러이다.", "en", "ko"),
        ("It cost 35,000 won.", "3만 5000원이 들었다.", "en", "ko"),
        ("有9.1万人失去生命。", "91,000 lives were lost.", "zh", "en"),
        ("共提供三千六百间房。", "It offers 3,600 rooms.", "zh", "en"),
        ("Over 1.2 billion people live there.", "那里有超过12亿人口。", "en", "zh"),
        ("más de 200 mil millones de euros", "more than 200 billion euros", "es", "en"),
        ("over 1.4 million requests", "más de 1,4 millones de solicitudes", "en", "es"),
        ("It opened in 1903.", "افتتح عام ١٩٠٣.", "en", "ar"),
        ("It opened in 1903.", "यह १९०३ में खुला।", "en", "hi"),
        ("It opened in 2019.", "เปิดในปี พ.ศ. 2562", "en", "th"),
        ("令和2年に開業した。", "It opened in 2020.", "ja", "en"),
        ("１０試合で８ゴール。", "Eight goals in 10 games.", "ja", "en"),
        ("7月24日15时50分", "July 24, at 3:50 p.m.", "zh", "en"),
        ("It opened on July 24.", "Se avattiin 24. heinäkuuta.", "en", "fi"),
        ("Opened on 24.7.2020.", "2020년 7월 24일에 문을 열었다.", "fi", "ko"),
        ("in the 19th century", "1800-luvulla", "en", "fi"),
        ("in the 18th century", "au XVIIIe siècle", "en", "fr"),
        ("in the 1970s", "20世纪70年代", "en", "zh"),
        ("In the 1980s it grew.", "Dans les années 80, il a grandi.", "en", "fr"),
        ("the 1995-96 season", "1995-1996년 시즌", "en", "ko"),
        ("5-6 million people", "500万至600万人", "en", "zh"),
        ("They have 3 children.", "세 자녀가 있다.", "en", "ko"),
        ("They have two children.", "Heillä on lapsia.", "en", "fi"),
        ("from 8 to 100 passengers", "kahdeksasta sataan matkustajaa", "en", "fi"),
        ("COVID-19 spread quickly.", "新冠疫情迅速蔓延。", "en", "zh"),
        ("It emits CO2 on 20 m2.", "它在20平方米上排放二氧化碳。", "en", "zh"),
        ("She runs the 1500m.", "Hän juoksee 1 500 metriä.", "en", "fi"),
        ("It cost $5m.", "Se maksoi 5 miljoonaa dollaria.", "en", "fi"),
        ("vingt-cinq ans", "25 years", "fr", "en"),
        ("خمسة عشر مصرفا", "15 banks", "ar", "en"),
    ],
)  # fmt: skip
def test_a_number_in_another_form_is_not_missing(original: str, translation: str, source: str, target: str) -> None:
    assert missing(original, translation, source, target) == ()
    assert missing(translation, original, target, source) == ()


@pytest.mark.parametrize(
    ("original", "translation", "source", "target", "lacking"),
    [
        ("over 10,000 people", "1,000명이 넘는 사람들", "en", "ko", ("10,000",)),
        ("It has 250,000 residents.", "인구는 25억 명이다.", "en", "ko", ("250,000",)),
        ("700 miliardi di dollari", "700 million dollars", "it", "en", ("700 miliardi",)),
        ("Se maksoi 20 prosenttia.", "It cost 52 per cent.", "fi", "en", ("20",)),
        ("Trois marins sont morts.", "Five sailors died.", "fr", "en", ("trois",)),
        ("最近3天下雨。", "It rained for the last 9 days.", "zh", "en", ("3",)),
        ("7月24日15时50分", "July 24, at 2:50 p.m.", "zh", "en", ("15",)),
        ("He won in 1995 and 1997.", "Hän voitti vuosina 1995 ja 1998.", "en", "fi", ("1997",)),
        ("iPhone 6 and 6 Plus", "iPhone 6 et 7 Plus", "en", "fr", ("6",)),
    ],
)
def test_a_changed_number_is_missing(
    original: str, translation: str, source: str, target: str, lacking: tuple[str, ...]
) -> None:
    assert missing(original, translation, source, target) == lacking


def test_a_language_without_words_is_compared_by_its_digits() -> None:
    assert missing("570 tys. zł", "570 thousand zloty", "pl", "en") == ()
    assert missing("570 tys. zł", "580 thousand zloty", "pl", "en") == ("570",)


@given(st.text(), st.text(), st.sampled_from(["en", "ko", "zh", "ja", "fi", "ar", "th", "pl", "und"]))
def test_any_text_can_be_compared(original: str, translation: str, lang: str) -> None:
    missing(original, translation, lang, "en")
    missing(original, translation, "en", lang)


def test_numbers_of_any_length_can_be_compared() -> None:
    assert missing("9" * 5000 + "만", "9" * 5000, "ko", "fi") == ("9" * 5000 + "만",)


@given(st.integers(2, 10**9))
def test_a_text_has_its_own_numbers(number: int) -> None:
    for lang in ("en", "ko", "zh", "ja", "fi", "de", "ar", "th"):
        assert missing(f"{number:,} x", f"{number:,} x", lang, lang) == ()
