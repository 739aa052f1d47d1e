from __future__ import annotations

import sys
import unicodedata

import pytest

from qttrag.text.scripts import SCRIPTS, character_class, component_scripts, script_of, scripts_of

NAMES = {
    "Arab": "ARABIC LETTER", "Cyrl": "CYRILLIC CAPITAL", "Deva": "DEVANAGARI LETTER", "Grek": "GREEK SMALL LETTER",
    "Hang": "HANGUL SYLLABLE", "Hani": "CJK UNIFIED", "Latn": "LATIN SMALL", "Thai": "THAI CHARACTER",
}  # fmt: skip


@pytest.mark.parametrize("script", NAMES)
def test_letters_have_the_script_that_unicode_names_them_after(script: str) -> None:
    named = [c for c in map(chr, range(sys.maxunicode)) if unicodedata.name(c, "").startswith(NAMES[script])]
    letters = [c for c in named if c.isalpha() and "COPTIC" not in unicodedata.name(c)]
    assert len(letters) > 30
    assert {script_of(c) for c in letters} == {script}


@pytest.mark.parametrize(
    ("character", "script"),
    [("ㄅ", "Hani"), ("々", "Hani"), ("〆", "Hani"), ("ー", "Kana"), ("ﾞ", "Kana"), ("ひ", "Kana"), ("カ", "Kana"),
     ("ｶ", "Kana"), ("ـ", "Arab"), ("ʻ", "Latn"), ("Ａ", "Latn"), ("ᱥ", "Olck")],
)  # fmt: skip
def test_letters_that_unicode_shares_between_scripts_count_for_the_script_they_occur_in(
    character: str, script: str
) -> None:
    assert script_of(character) == script


@pytest.mark.parametrize("character", ["1", "١", " ", "。", "€", "😀", "\u0301", "ि", "ⲁ", "\ud800"])
def test_what_is_no_letter_of_the_languages_has_no_script(character: str) -> None:
    assert script_of(character) is None


def test_letters_are_counted_by_script_in_the_order_in_which_the_scripts_occur() -> None:
    assert list(scripts_of("1903년 Nokia 서울, 東京!").items()) == [("Hang", 3), ("Latn", 5), ("Hani", 2)]


def test_a_script_of_a_language_may_combine_scripts() -> None:
    assert component_scripts("Jpan") == {"Hani", "Kana"}
    assert component_scripts("Hans") == component_scripts("Hant") == {"Hani"}
    assert component_scripts("Thai") == {"Thai"}
    assert "Jpan" not in SCRIPTS


def test_a_character_class_holds_marks_and_digits_too() -> None:
    import regex

    assert regex.fullmatch(f"[{character_class('Thai', 'Deva')}]+", "กี่ि१")
