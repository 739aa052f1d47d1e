"""What of a text is a term of BM25."""

from __future__ import annotations

import pytest

from qttrag.retrievers.terms import kind_of, tokenise
from qttrag.types import Lang


@pytest.mark.parametrize(
    ("lang", "text", "terms"),
    [
        ("xx", "The old Bridge, 1903!", ["the", "old", "bridge", "1903"]),
        ("en", "Libraries of bridges", ["librari", "of", "bridg"]),
        ("fi", "kirjastossa kirjastoon", ["kirjasto", "kirjasto"]),
        ("ru", "библиотеки библиотеку", ["библиотек", "библиотек"]),
        ("ar", "المكتبات", ["مكتب"]),
        ("nb", "bøkene", ["bøk"]),
        ("zh", "北京大学", ["北", "京", "大", "学", "北京", "京大", "大学"]),
        ("ko", "서울의 다리", ["서", "울", "의", "서울", "울의", "다", "리", "다리"]),
        ("ja", "東京タワー", ["東", "京", "タ", "ワ", "ー", "東京", "京タ", "タワ", "ワー"]),
        ("th", "ห้องสมุดแห่งชาติ", ["ห้อง", "สมุด", "แห่ง", "ชาติ"]),
        ("ko", "iPhone을 샀다", ["iphone", "을", "샀", "다", "샀다"]),
        ("en", "Nokia の libraries", ["nokia", "の", "librari"]),
        ("hi", "हिन्दी में", ["हिन्द", "म"]),
        ("bn", "বাংলা ভাষা", ["বাংলা", "ভাষা"]),
        ("xx", "A\u0308iti ＡＢＣ ｶﾞｽ", ["äiti", "abc", "ガ", "ス", "ガス"]),
        ("en", "❤\ufe0f", []),
        ("en", "", []),
        ("en", "!?", []),
    ],
)
def test_terms_depend_on_the_language_and_the_script(lang: str, text: str, terms: list[str]) -> None:
    assert tokenise(text, Lang(lang)) == terms


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("Ｎｏｋｉａ ３３１０", "nokia 3310"),
        ("İSTANBUL ISPARTA", "istanbul ısparta"),
        ("Donau\u00addampf\u200bschiff", "donaudampfschiff"),
        ("الْمَدِينَــةُ ١٩٠٣", "المدينة 1903"),
        ("ﺍﻟﻤﺪﻳﻨﺔ", "المدينة"),
        ("१९०३ में", "1903 में"),
        ("๒๕๖๓", "2563"),
        ("𝐇𝐞𝐥𝐬𝐢𝐧𝐤𝐢", "helsinki"),
        ("می\u200cخواهم", "میخواهم"),
    ],
)
def test_spellings_of_a_word_are_one_term(text: str, same: str) -> None:
    assert tokenise(text, Lang("xx")) == tokenise(same, Lang("xx")) == same.replace("ı", "i").split()


@pytest.mark.parametrize(
    ("lang", "text", "kind"),
    [("fi", "suomi", "stems"), ("nb", "norsk", "stems"), ("th", "ไทย", "dictionary words"),
     ("ko", "한국어", "characters"), ("bn", "বাংলা", "words"), ("sr-Latn", "srpski", "words")],
)  # fmt: skip
def test_the_kind_of_terms_is_reported(lang: str, text: str, kind: str) -> None:
    assert kind_of(text, Lang(lang)) == kind
