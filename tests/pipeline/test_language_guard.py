from __future__ import annotations

import pytest

from qttrag.detectors.script import ScriptDetector
from qttrag.pipeline.language_guard import LanguageGuard
from qttrag.text.languages import ALIKE, LANGUAGES
from qttrag.types import Lang

SAID = [
    ("ko", "다리는 1903년에 개통되었다.", "right"),
    ("ko", "1903년", "right"),
    ("ko", "1903", "cannot tell"),
    ("ko", "Helsinki", "cannot tell"),
    ("ko", "Ludwig van Beethoven", "cannot tell"),
    ("ko", "5 km", "cannot tell"),
    ("ko", "The bridge was opened in 1903.", "wrong"),
    ("ko", "iron ore", "wrong"),
    ("ko", "桥于1903年通车。", "wrong"),
    ("ko", "답은 Helsinki입니다.", "right"),
    ("zh", "这座桥于1903年通车。", "right"),
    ("zh", "橋は1903年に開通した。", "wrong"),
    ("ja", "東京", "cannot tell"),
    ("ja", "橋は1903年に開通した。", "right"),
    ("fi", "Silta avattiin liikenteelle vuonna 1903.", "right"),
    ("fi", "The bridge was opened to traffic in 1903.", "wrong"),
    ("fi", "Helsinki", "cannot tell"),
    ("fi", "서울", "wrong"),
    ("en", "The bridge was opened to traffic in 1903.", "right"),
    ("en", "Мост был открыт в 1903 году.", "wrong"),
    ("nb", "Broen blev åbnet for trafik i 1903 af kongen.", "cannot tell"),
    ("ru", "Мост был открыт для движения в 1903 году.", "right"),
    ("th", "สะพานเปิดใช้ในปี 1903", "right"),
    ("th", "The bridge was opened in 1903.", "wrong"),
    ("ko", "...", "cannot tell"),
]


@pytest.mark.parametrize(("lang", "text", "word"), SAID)
async def test_the_language_of_an_answer_is_judged(lang: str, text: str, word: str) -> None:
    assert (await LanguageGuard(ScriptDetector()).judge(text, Lang(lang))).word == word


async def test_the_language_that_was_found_is_named() -> None:
    judged = await LanguageGuard(ScriptDetector()).judge("The bridge was opened to traffic in 1903.", Lang("fi"))
    assert judged.found == "en"


def test_languages_that_are_alike_are_languages() -> None:
    assert {lang for group in ALIKE for lang in group} <= LANGUAGES.keys()
