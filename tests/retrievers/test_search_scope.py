"""The languages of the passages that a question is searched in."""

from __future__ import annotations

import pytest

from qttrag.retrievers.search_scope import check_languages, passage_languages
from qttrag.text.languages import language
from qttrag.types import Query


@pytest.mark.parametrize(
    ("asked", "searched"),
    [
        ("zh-TW", ("en", "zh", "zh-Hant")),
        ("zh", ("en", "zh", "zh-Hant")),
        ("pt-BR", ("en", "pt")),
        ("ace-Arab", ("ace", "ace-Arab", "en")),
        ("yue", ("en", "yue")),
        ("ko", ("en", "ko")),
    ],
)
def test_the_language_of_a_question_matches_passages_in_any_script_of_it(asked: str, searched: tuple[str, ...]) -> None:
    assert passage_languages(check_languages(["en", "query"]), Query("?", language(asked).code)) == searched


def test_a_language_named_in_the_settings_is_exact() -> None:
    assert passage_languages(check_languages(["zh"]), Query("?", language("ko").code)) == ("zh",)
