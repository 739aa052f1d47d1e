"""Where texts without spaces are cut."""

from __future__ import annotations

import unicodedata
from typing import Any

import pytest
import regex
from hypothesis import given
from hypothesis import strategies as st

from qttrag.indexes.recipe import Chunking
from qttrag.indexes.sources.borders import pieces
from qttrag.indexes.sources.chunking import chunk
from qttrag.types import Lang

EN = Lang("en")
FAMILY, FLAG, KSHA, GAK, CAFE = "👨‍👩‍👧‍👦", "🇰🇷", "क्ष", "\u1100\u1161\u11a8", "e\u0301"
WORDS = {
    "th": ["กรุงเทพมหานคร", "เป็น", "เมือง", "หลวง", "ของ", "ประเทศไทย", "และ", "ประชากร"],
    "lo": ["ວຽງຈັນ", "ເປັນ", "ນະຄອນຫຼວງ", "ຂອງ", "ລາວ"],
    "km": ["ភ្នំពេញ", "គឺជា", "រាជធានី", "នៃ", "កម្ពុជា"],
    "my": ["မြန်မာနိုင်ငံ", "အကြီး", "ဆုံး", "မြို့", "ဖြစ်သည်"],
    "bo": ["བོད་", "ཀྱི་", "རྒྱལ་", "ས་"],
}
SCRIPTS = [*(word for words in WORDS.values() for word in words), "北京。", "「東京」、", "ꦲꦸꦮꦺꦴꦁ", "ᬩᬮᬶ", "ab", " ", "\n"]
texts = st.lists(
    st.sampled_from([*SCRIPTS, FAMILY, FLAG, KSHA, GAK, CAFE, "\u0301", "\u200d", "\u0e31", "।", "!?"]), max_size=60
).map("".join)


@pytest.mark.parametrize("lang", WORDS)
def test_words_of_scripts_with_a_dictionary_or_syllable_marks_stay_whole(lang: str) -> None:
    words = WORDS[lang] * 30
    cut = chunk("".join(words), Lang(lang), Chunking(size=40))
    ends = {0}
    for word in words:
        ends.add(max(ends) + len(word))
    position = 0
    for piece in cut[:-1]:
        position += len(piece)
        assert position in ends
        assert 20 <= len(piece) <= 40


def test_chinese_and_japanese_end_at_sentence_marks_and_other_punctuation() -> None:
    sentence = "北京是中华人民共和国的首都。"
    assert all(piece.endswith("。") for piece in chunk(sentence * 20, Lang("zh"), Chunking(size=60)))
    clause = "東京は日本の首都であり、"
    assert all(piece.endswith("、") for piece in chunk(clause * 20, Lang("ja"), Chunking(size=60)))


def test_closing_brackets_stay_with_their_sentence() -> None:
    assert not any(piece.startswith("」") for piece in chunk("「今日は。」" * 40, Lang("ja"), Chunking(size=10)))


@pytest.mark.parametrize("cluster", [FAMILY, FLAG, KSHA, GAK, CAFE])
def test_a_character_of_several_code_points_is_never_cut(cluster: str) -> None:
    for text in (cluster * 50, "x" * 7 + cluster * 50):
        for piece in chunk(text, EN, Chunking(size=10, unit="characters")):
            assert piece.replace("x", "") == cluster * piece.count(cluster)


def test_a_character_longer_than_a_passage_stays_whole() -> None:
    zalgo = "a" + "\u0301" * 30
    assert pieces(zalgo + "b" * 15, 10) == [zalgo, "b" * 10, "b" * 5]


def test_a_text_in_javanese_script_is_cut_though_its_language_is_usually_written_with_spaces() -> None:
    cut = chunk("ꦱꦧꦼꦤ꧀ꦲꦸꦮꦺꦴꦁꦏꦭꦲꦶꦂꦲꦏꦺ" * 20, Lang("jv"), Chunking(size=50))
    assert len(cut) > 5
    assert all(len(piece) <= 50 for piece in cut)
    assert len(chunk("Saben uwong kalairake kanthi mardika. " * 10, Lang("jv"), Chunking(size=50))) == 1


@given(texts, st.integers(10, 60), st.sampled_from(["characters", "words", "auto"]))
def test_joined_pieces_are_the_text_and_no_piece_begins_with_a_combining_mark(text: str, size: int, unit: Any) -> None:
    text = text.lstrip().lstrip("\u0301\u0e31\u200d")
    cut = chunk(text, EN, Chunking(size=size, unit=unit))
    assert "".join("".join(cut).split()) == "".join(text.split())
    assert not any(unicodedata.category(piece[0]).startswith("M") for piece in cut)


@given(texts, st.integers(10, 60))
def test_every_cut_is_between_grapheme_clusters(text: str, size: int) -> None:
    clusters = [cluster.strip() for cluster in regex.findall(r"\X", " ".join(text.split()))]
    cut = [cluster.strip() for piece in pieces(" ".join(text.split()), size) for cluster in regex.findall(r"\X", piece)]
    assert [cluster for cluster in cut if cluster] == [cluster for cluster in clusters if cluster]
