from __future__ import annotations

import pytest
from transformers.models.nllb.tokenization_nllb import FAIRSEQ_LANGUAGE_CODES

from qttrag.errors import InputError
from qttrag.text.languages import (
    ALSO_WRITTEN_IN,
    LANGUAGES,
    SPACELESS,
    Language,
    language,
    language_or_undetermined,
)
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
        ("iw", "he"),
        ("in", "id"),
        ("fin", "fi"),
        ("zho", "zh"),
        ("KO", "ko"),
    ],
)
def test_usual_spellings_are_understood(value: str, code: str) -> None:
    assert language(value).code == code


@pytest.mark.parametrize(
    ("tag", "code"),
    [
        ("zh-Hant-TW", "zh-Hant"),
        ("zh_Hant_TW", "zh-Hant"),
        ("ZH-HANT", "zh-Hant"),
        ("zh-Hans-TW", "zh"),
        ("zh-HK", "zh-Hant"),
        ("cmn_Hani", "zh"),
        ("zh-yue", "yue"),
        ("ace-Arab-ID", "ace-Arab"),
        ("ace-ID", "ace"),
        ("kr-Arab", "kr-Arab"),
        ("ks-Arab-IN", "ks"),
        ("ko-KR", "ko"),
        ("pt-BR", "pt"),
        ("es-419", "es"),
        ("sr-Latn", "sr"),
        ("sr-Latn-RS", "sr"),
        ("fa-AF", "prs"),
        ("ku-Arab", "ckb"),
        ("ca-valencia", "ca"),
        ("de-CH-1996", "de"),
        ("zh-Hant-u-co-stroke", "zh-Hant"),
        ("en-x-private", "en"),
        ("ko_KR.UTF-8", "ko"),
        ("sr_RS@latin", "sr"),
    ],
)
def test_a_tag_keeps_its_script_and_drops_a_region_that_the_table_does_not_distinguish(tag: str, code: str) -> None:
    assert language(tag).code == code


@pytest.mark.parametrize("row", LANGUAGES.values(), ids=str)
def test_a_tag_with_script_and_region_is_the_row_of_that_script(row: Language) -> None:
    assert language(f"{row.code.split('-')[0]}-{row.script}-AQ") is row


@pytest.mark.parametrize(
    ("tag", "words"),
    [
        ("ko-Latn", r"unknown language 'ko-Latn'.*use 'ko' \(Hang\) for Korean"),
        ("kr-Deva", r"use 'kr' \(Latn\) or 'kr-Arab' \(Arab\) for Kanuri"),
        ("fi_FIN", "use 'fi' \\(Latn\\) for Finnish"),
        ("zh-Hnat", "did you mean 'zh-Hant'"),
        ("xx-KR", "qttrag languages"),
        ("", "unknown language ''"),
    ],
)
def test_an_unknown_tag_is_refused_with_the_codes_that_there_are(tag: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        language(tag)


@pytest.mark.parametrize(("value", "code"), [("und", "und"), ("MUL", "und"), ("kor", "ko")])
def test_a_record_may_be_of_undetermined_language(value: str, code: str) -> None:
    assert language_or_undetermined(value) == code


def test_other_scripts_belong_to_languages_of_the_table() -> None:
    assert set(ALSO_WRITTEN_IN) <= set(LANGUAGES)
    assert not [code for code, scripts in ALSO_WRITTEN_IN.items() if LANGUAGES[code].script in scripts]


def test_an_error_names_the_unknown_language_and_the_nearest_one() -> None:
    with pytest.raises(InputError, match=r"unknown language 'finish'; did you mean 'Finnish'.*qttrag languages"):
        language("finish")


def test_spaceless_languages_are_languages() -> None:
    assert set(LANGUAGES) >= SPACELESS
