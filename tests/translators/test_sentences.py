from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from qttrag.translators.sentences import join, sentences, split
from qttrag.types import Lang

KO, ZH, EN = Lang("ko"), Lang("zh"), Lang("en")
TEXT = st.text(
    alphabet=st.one_of(st.sampled_from("ab ,.!?;:。、，\n\t안녕é"), st.characters(codec="utf-8")), max_size=80
)


@given(TEXT, st.sampled_from(["en", "ko", "zh", "th", "ace-Arab", "xx"]))
def test_sentences_joined_with_their_white_space_are_the_text(text: str, lang: str) -> None:
    pairs = sentences(text, Lang(lang))
    assert "".join(words + gap for words, gap in pairs) == text.lstrip()
    assert all(words and words == words.strip() for words, _ in pairs)


def test_an_abbreviation_does_not_end_a_sentence() -> None:
    assert sentences("Dr. Kim went home. He slept.", EN) == [("Dr. Kim went home.", " "), ("He slept.", "")]


def test_chinese_sentences_need_no_spaces() -> None:
    assert [words for words, _ in sentences("桥于1917年通车。博物馆收藏地图。", ZH)] == [
        "桥于1917年通车。",
        "博物馆收藏地图。",
    ]


@given(TEXT, st.integers(1, 12))
def test_split_parts_fit_and_are_the_text_when_joined(text: str, most: int) -> None:
    parts = split(text, lambda part: len(part) <= most)
    assert "".join(parts) == text
    assert all(len(part) <= max(1, most) for part in parts) or any(ord(c) > 127 for c in text)


@given(TEXT)
def test_splitting_ends_even_if_no_part_fits(text: str) -> None:
    assert "".join(split(text, lambda part: False)) == text


def test_a_sentence_is_split_at_a_clause_rather_than_at_a_nearer_space() -> None:
    text = "the old bridge was closed, and then a new one was built"
    assert split(text, lambda part: len(part) < 40)[0] == "the old bridge was closed, "


def test_a_comma_inside_a_number_ends_no_clause() -> None:
    assert split("some 1,000 kilometres", lambda part: len(part) < 20) == ["some 1,000 ", "kilometres"]


def test_a_letter_stays_with_its_marks() -> None:
    assert split("กกี่กก", lambda part: len(part) < 6) == ["กกี่", "กก"]


def test_line_breaks_survive_translation() -> None:
    assert join([("yksi.", "\n\n"), ("kaksi.", "")], spaceless=False) == "yksi.\n\nkaksi."
    assert join([("一。", "\n"), ("二。", "")], spaceless=True) == "一。\n二。"


def test_sentences_are_joined_as_the_target_language_does() -> None:
    assert join([("一。", " "), ("二。", "")], spaceless=True) == "一。二。"
    assert join([("one.", ""), ("two.", "")], spaceless=False) == "one. two."


def test_a_narrow_mark_is_followed_by_a_space_in_every_language() -> None:
    assert join([("加纳.", " "), ("货币是塞地。", "")], spaceless=True) == "加纳. 货币是塞地。"


def test_an_empty_translation_leaves_no_double_space() -> None:
    assert join([("a.", " "), ("", " "), ("b.", "")], spaceless=False) == "a. b."
