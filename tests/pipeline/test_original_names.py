from __future__ import annotations

import pytest

from qttrag.pipeline.original_names import OriginalNames, hidden_names
from qttrag.types import Lang, Passage

FORT = "Suomenlinna is a fortress near Helsinki, designed by Augustin Ehrensvärd. It lies in the Baltic Sea."
FORT_KO = "수오멘린나는 아우구스틴 에렌스베르드가 설계한 헬싱키 인근의 요새이다. 발트해에 있다."


def names(
    text: str, translation: str, lang: str, target: str, *, title: str = "", form: OriginalNames = "as_written"
) -> tuple[str, ...]:
    return hidden_names(Passage("1", text, Lang(lang), title), translation, Lang(target), form)


def test_names_in_another_script_are_shown_as_the_original_writes_them() -> None:
    shown = names(FORT, FORT_KO, "en", "ko", title="Suomenlinna")
    assert shown == ("Suomenlinna", "Helsinki", "Augustin Ehrensvärd", "Baltic")


def test_a_name_that_the_translation_keeps_or_inflects_is_not_shown() -> None:
    finnish = "Suomenlinna on Helsingin edustalla sijaitseva linnoitus, jonka suunnitteli Augustin Ehrensvärd."
    assert names(FORT, finnish, "en", "fi", title="Suomenlinna") == ("Baltic",)


def test_a_name_that_the_translation_loses_is_shown() -> None:
    assert names("The film was made by Aki Kaurismäki.", "Elokuvan teki hän.", "en", "fi") == ("Aki Kaurismäki",)


@pytest.mark.parametrize(
    ("form", "expected"),
    [("as_written", ("Ставрополье", "Михаил Горбачёв")), ("latin", ("Stavropole", "Mikhail Gorbachev"))],
)
def test_names_of_other_scripts_can_be_shown_in_latin_letters(form: OriginalNames, expected: tuple[str, ...]) -> None:
    text = "В Ставрополье родился Михаил Горбачёв."
    assert names(text, "정치인 고르바초프는 그곳에서 태어났다.", "ru", "ko", form=form) == expected


def test_in_latin_letters_a_name_that_is_there_already_is_not_repeated() -> None:
    text = "Политик Михаил Горбачёв родился в 1931 году."
    assert names(text, "Poliitikko Mihail Gorbatšov syntyi vuonna 1931.", "ru", "fi", form="latin") == ()


def test_scripts_without_capitals_have_their_title_and_words_in_latin_letters() -> None:
    shown = names(
        "경복궁은 서울에 있다. Nokia가 후원했다.", "The palace is in Seoul.", "ko", "en", title="경복궁", form="latin"
    )
    assert shown == ("Gyeongboggung", "Nokia")


def test_scripts_without_vowels_stay_as_they_are() -> None:
    assert names("نص", "teksti", "ar", "fi", title="القاهرة", form="latin") == ("القاهرة",)


def test_german_nouns_are_not_taken_for_names() -> None:
    assert names("Das Haus und der Garten gehören Angela Merkel.", "집과 정원.", "de", "ko", title="Haus") == ("Haus",)


def test_a_sentence_as_title_and_words_that_are_translated_are_not_names() -> None:
    title = "What every visitor of the city should have seen before leaving it in the evening"
    assert names("It is in the United States on Monday.", "미국에 있다.", "en", "ko", title=title) == ()


def test_at_most_eight_names_are_shown() -> None:
    text = "They met " + ", ".join(f"Anna {chr(65 + n)}{'bcdefghijk'[n] * 3}son" for n in range(10)) + "."
    assert len(names(text, "만났다.", "en", "ko")) == 8
