"""Latin letters for any script, and names compared by their sound."""

from __future__ import annotations

import pytest

from qttrag.text.transliteration import alike, folded, latin


@pytest.mark.parametrize(
    ("text", "romanised"),
    [
        ("Михаил Корб", "Mikhail Korb"),
        ("Αθήνα", "Athina"),
        ("ニコラ", "nikora"),
        ("Łódź", "Lodz"),
        ("Köln 7", "Koln 7"),
    ],
)
def test_every_script_has_latin_letters(text: str, romanised: str) -> None:
    assert latin(text) == romanised


def test_a_folded_word_has_letters_alone() -> None:
    assert folded("O’Shannessy's") == "oshannessys"
    assert folded("2019") == ""


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Schumacher", "슈마허"),
        ("Mikhail", "미하일은"),
        ("Hawking", "ホーキング"),
        ("Семиларски", "Semilarski"),
        ("Ivanov", "이바노프"),
    ],
)
def test_a_name_sounds_like_its_transliteration(one: str, other: str) -> None:
    assert alike(folded(one), folded(other), across_scripts=True)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Gorbachev", "대통령을"),
        ("Hawking", "クリントン"),
        ("Германия", "Россия"),
        ("Korb", "슈마허"),
        ("Parker", "바흐는"),
    ],
)
def test_other_names_do_not(one: str, other: str) -> None:
    assert not alike(folded(one), folded(other), across_scripts=True)


def test_in_one_script_the_spelling_has_to_be_similar() -> None:
    assert alike("novak", "novakille", across_scripts=False)
    assert not alike("dubois", "tavish", across_scripts=False)


def test_abbreviations_have_to_be_equal() -> None:
    assert alike("us", "us", across_scripts=False)
    assert not alike("us", "usa", across_scripts=False)
