from __future__ import annotations

import pytest
from transformers.models.nllb.tokenization_nllb import FAIRSEQ_LANGUAGE_CODES

from qttrag.errors import InputError
from qttrag.text.languages import LANGUAGES, SPACELESS, Language, language
from qttrag.text.scripts import component_scripts, scripts_of


def test_every_language_of_nllb_is_a_row() -> None:
    assert {row.nllb for row in LANGUAGES.values()} == set(FAIRSEQ_LANGUAGE_CODES)
    assert len(LANGUAGES) == 202


@pytest.mark.parametrize("row", LANGUAGES.values(), ids=str)
def test_a_native_name_is_in_the_script_of_the_language(row: Language) -> None:
    assert component_scripts(row.script) & scripts_of(row.native).keys()


@pytest.mark.parametrize("row", LANGUAGES.values(), ids=str)
def test_a_language_is_found_by_code_nllb_code_and_both_names(row: Language) -> None:
    for spelling in (row.code, row.nllb, row.name, row.code.upper(), f" {row.code} "):
        assert language(spelling) is row


@pytest.mark.parametrize(
    ("value", "code"),
    [
        ("kor", "ko"),
        ("zh-CN", "zh"),
        ("zh_TW", "zh-Hant"),
        ("no", "nb"),
        ("en-GB", "en"),
        ("suomi", "fi"),
        ("pt_BR", "pt"),
    ],
)
def test_usual_spellings_are_understood(value: str, code: str) -> None:
    assert language(value).code == code


def test_an_error_names_the_unknown_language_and_the_nearest_one() -> None:
    with pytest.raises(InputError, match=r"unknown language 'finish'; did you mean 'Finnish'.*qttrag languages"):
        language("finish")


def test_spaceless_languages_are_languages() -> None:
    assert set(LANGUAGES) >= SPACELESS
