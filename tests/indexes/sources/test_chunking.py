from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qttrag.indexes.recipe import Chunking
from qttrag.indexes.sources.chunking import chunk
from qttrag.types import Lang

EN, ZH, JA, TH = map(Lang, ("en", "zh", "ja", "th"))
texts = st.text(alphabet=st.sampled_from("ab c。.!? \n\t中文字한국あ"), max_size=300)


def test_words_are_cut_by_the_hundred() -> None:
    passages = chunk(" ".join(f"w{n}" for n in range(250)), EN, Chunking())
    assert [len(passage.split()) for passage in passages] == [100, 100, 50]


@pytest.mark.parametrize("lang", [ZH, JA, TH])
def test_scripts_without_spaces_are_cut_by_the_hundred_characters(lang: Lang) -> None:
    assert [len(passage) for passage in chunk("字" * 250, lang, Chunking())] == [100, 100, 50]


def test_no_space_is_added_between_characters() -> None:
    assert chunk("北京是中国的首都。", ZH, Chunking()) == ["北京是中国的首都。"]


def test_a_line_break_between_such_characters_is_removed() -> None:
    assert chunk("北京是首都。\n\n上海 是\nShanghai\n城市。", ZH, Chunking()) == ["北京是首都。上海 是 Shanghai 城市。"]


def test_the_unit_can_be_chosen() -> None:
    assert len(chunk("a" * 250, EN, Chunking(unit="characters"))) == 3
    assert len(chunk("字" * 250, ZH, Chunking(unit="words"))) == 1


def test_a_record_can_stay_whole() -> None:
    text = "One  two.\nThree. " * 100
    assert chunk(text, EN, Chunking(enabled=False)) == [text]


def test_an_overlap_repeats_the_last_sentence() -> None:
    text = " ".join(f"Sentence number {n} has six words." for n in range(6))
    passages = chunk(text, EN, Chunking(size=20, overlap=1))
    assert passages[0].endswith("Sentence number 2 has six words.")
    assert passages[1].startswith("Sentence number 2 has six words.")
    assert all(len(passage.split()) <= 20 for passage in passages)


def test_a_sentence_longer_than_a_passage_is_cut_not_lost() -> None:
    text = "Short one. " + " ".join(f"w{n}" for n in range(55)) + ". Short two."
    passages = chunk(text, EN, Chunking(size=20, overlap=1))
    assert {word for passage in passages for word in passage.split()} == set(text.split())
    assert all(len(passage.split()) <= 20 for passage in passages)


@given(texts, st.sampled_from([EN, ZH]), st.integers(10, 60))
def test_joined_passages_contain_the_text(text: str, lang: Lang, size: int) -> None:
    passages = chunk(text, lang, Chunking(size=size))
    assert "".join("".join(passages).split()) == "".join(text.split())
    assert all(passage.strip() for passage in passages)
    assert all(len(p) <= size if lang == ZH else len(p.split()) <= size for p in passages)


@given(texts, st.sampled_from([EN, ZH]), st.integers(10, 60), st.integers(1, 3))
def test_with_overlap_nothing_is_lost_and_no_passage_is_too_long(
    text: str, lang: Lang, size: int, overlap: int
) -> None:
    passages = chunk(text, lang, Chunking(size=size, overlap=overlap))
    assert all(len(p) <= size if lang == ZH else len(p.split()) <= size for p in passages)
    left = "".join("".join(passages).split())
    for character in "".join(text.split()):
        assert character in left
    assert len(left) >= len("".join(text.split()))
