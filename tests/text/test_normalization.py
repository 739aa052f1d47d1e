"""One normalisation for detection, lexical search, questions and prompts."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qttrag.text.normalization import clean, for_matching, without_invisible

odd = st.text(
    st.one_of(
        st.characters(categories=["L", "M", "N", "P", "S", "Z", "Cf"]),
        st.sampled_from("\u200c\u200d\u200b\u00ad\ufe0f\ufe0eİıiIکمहन्र❤👩🏽\U000e0041"),
    )
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Ｎｏｋｉａ ３３１０", "Nokia 3310"),
        ("𝐇𝐞𝐥𝐬𝐢𝐧𝐤𝐢 𝟏𝟗𝟎𝟑", "Helsinki 1903"),
        ("ｻﾝﾊﾟｳﾛ", "サンパウロ"),
        ("ﻫﻠﺴﻨﻜﻲ", "هلسنكي"),
        ("ﬁnnisch", "finnisch"),
        ("Donau\u00addampf\u00adschiff", "Donaudampfschiff"),
        ("Hel\u200bsin\u2060ki\ufeff", "Helsinki"),
        ("\u202bשלום\u202c\u200f", "שלום"),
        ("Seoul\U000e0053\U000e0061\U000e0079\U000e007f", "Seoul"),
        ("a\ufe01\U000e0101\U000e0123b", "ab"),
        ("\u3164서울\u3164", "서울"),
        ("e\u0301", "é"),
    ],
)
def test_clean_unites_the_forms_of_a_letter_and_removes_what_is_invisible(text: str, expected: str) -> None:
    assert clean(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "x² + ½ = ①",
        "水，火（木）。",
        "Ｃ＋＋"[1:],
        "می‌خواهم",  # ZWNJ between a prefix and its verb
        "ه‍.ش",  # ZWJ after the abbreviation of the Solar Hijri calendar
        "श्री‌मान",
        "ക്‍",
        "👩🏽‍💻 🏳‍🌈",
        "الْمَدِينَةُ",
        "İstanbul, ısı",
        "十九〇三年 ١٩٠٣",
    ],
)
def test_clean_leaves_what_has_a_meaning(text: str) -> None:
    assert clean(text) == text


@pytest.mark.parametrize("text", ["a\u200cb", "서\u200d울", "م\u200c", "\u200dم", "❤\u200d", "a\u200d❤"])
def test_a_joiner_that_no_script_needs_is_removed(text: str) -> None:
    assert clean(text) == text.replace("\u200c", "").replace("\u200d", "")


@pytest.mark.parametrize(
    "spellings",
    [
        ["İSTANBUL", "istanbul", "Istanbul", "ISTANBUL", "ıstanbul", "i\u0307stanbul"],
        ["1903", "１９０３", "١٩٠٣", "۱۹۰۳", "१९०३", "১৯০৩", "๑๙๐๓", "၁၉၀၃", "𝟏𝟗𝟎𝟑"],
        ["الْمَدِينَةُ", "المدينة", "المــدينة", "ﺍﻟﻤﺪﻳﻨﺔ"],
        ["שָׁלוֹם", "שלום"],
        ["می‌خواهم", "میخواهم"],
        ["Straße", "STRASSE", "stra\u00adße"],
        ["Ὀδυσσεύς", "ὈΔΥΣΣΕΎΣ"],
        ["ｻﾝﾊﾟｳﾛ", "サンパウロ"],
        ["카페", unicodedata.normalize("NFD", "카페")],
    ],
)
def test_spellings_of_a_word_match(spellings: list[str]) -> None:
    assert len({for_matching(spelling) for spelling in spellings}) == 1


@pytest.mark.parametrize(
    ("one", "other"), [("أب", "اب"), ("हिंदी", "हदी"), ("가", "각"), ("é", "e"), ("が", "か"), ("ئ", "ي")]
)
def test_different_letters_do_not_match(one: str, other: str) -> None:
    assert for_matching(one) != for_matching(other)


@given(odd)
def test_each_level_changes_a_text_once(text: str) -> None:
    for level in (without_invisible, clean, for_matching):
        assert level(level(text)) == level(text)


@given(odd)
def test_no_invisible_character_but_a_joiner_stays(text: str) -> None:
    kept = {c for c in clean(text) if unicodedata.category(c) == "Cf" and c not in "\u200c\u200d"}
    assert not kept & set("\u00ad\u200b\u200e\u200f\u2060\ufeff\U000e0041")


@given(st.text(st.characters(max_codepoint=127)))
def test_ascii_is_clean(text: str) -> None:
    assert clean(text) == text
