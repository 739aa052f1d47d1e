from __future__ import annotations

import gzip
import json
from collections import Counter
from typing import Any

import pytest

from qttrag.detectors.fasttext_labels import LABELS
from qttrag.detectors.script import ScriptDetector, _model, recognition
from qttrag.errors import ConfigError
from qttrag.text.languages import LANGUAGES, language
from qttrag.text.scripts import scripts_of
from qttrag.types import Lang
from tests import shared_data

SHARED = shared_data.FOLDER / "data"
needs_data = pytest.mark.skipif(not SHARED.is_dir(), reason=f"labelled questions are not at {SHARED}")


async def detect(*texts: str) -> list[str]:
    return list(await ScriptDetector().detect(texts))


@pytest.mark.parametrize(
    ("text", "lang"),
    [
        ("서울의 인구는?", "ko"),
        ("北京", "zh"),
        ("東京", "ja"),
        ("三権分立", "ja"),
        ("東京大学", "ja"),
        ("毛泽东", "zh"),
        ("紅樓夢", "zh"),
        ("中華民國", "zh"),
        ("東京の人口は？", "ja"),
        ("ｶﾀｶﾅ", "ja"),
        ("กรุงเทพ", "th"),
        ("Αθήνα", "el"),
        ("თბილისი", "ka"),
        ("שלום, מה שלומך?", "he"),
        ("Milloin Suomi itsenäistyi?", "fi"),
        ("Who wrote this book?", "en"),
        ("Когда построили этот мост?", "ru"),
        ("متى بُني هذا الجسر؟", "ar"),
        ("یہ پل کب تعمیر ہوا تھا؟", "ur"),
    ],
)
async def test_the_language_of_a_short_question_is_detected(text: str, lang: str) -> None:
    assert await detect(text) == [lang]


@pytest.mark.parametrize(
    ("text", "lang"),
    [
        ("Ｍｉｌｌｏｉｎ Ｓｕｏｍｉ ｉｔｓｅｎäｉｓｔｙｉ？", "fi"),
        ("𝐌𝐢𝐥𝐥𝐨𝐢𝐧 𝐒𝐮𝐨𝐦𝐢 𝐢𝐭𝐬𝐞𝐧𝐚̈𝐢𝐬𝐭𝐲𝐢?", "fi"),
        ("Mil\u00adloin Suo\u200bmi itse\u00adnäistyi?", "fi"),
        ("ﻣﺘﻰ ﺑﻨﻲ ﻫﺬﺍ ﺍﻟﺠﺴﺮ؟", "ar"),
    ],
)
async def test_typographic_variants_do_not_change_the_language(text: str, lang: str) -> None:
    assert await detect(text) == [lang]


@pytest.mark.parametrize("text", ["\u3164", "\u200b\U000e0041", "", " ", "1988", "?!", "😀 🎉", "3.14 + 2"])
async def test_a_text_without_letters_is_undetermined(text: str) -> None:
    assert await detect(text) == ["und"]


@pytest.mark.parametrize(
    ("text", "lang"),
    [
        ("Kada je izgrađen ovaj most?", "sr"),
        ("Najveća reka u Srbiji je Dunav, a deca uče u školi.", "sr"),
        ("Када је изграђен овај мост?", "sr"),
        ("Zagreb je glavni grad Republike Hrvatske.", "hr"),
    ],
)
async def test_serbian_is_detected_in_both_scripts(text: str, lang: str) -> None:
    assert await detect(text) == [lang]


@pytest.mark.parametrize(
    ("text", "expected", "lang"),
    [
        ("Ko je napisao ovu knjigu?", ["sr", "en"], "sr"),
        ("Ko je napisao ovu knjigu?", ["hr", "en"], "hr"),
        ("人口", ["ja", "en"], "ja"),
        ("人口", ["zh", "en"], "zh"),
        ("紅樓夢", ["zh-Hant"], "zh-Hant"),
        ("紅樓夢", ["zh", "zh-Hant"], "zh-Hant"),
        ("红楼梦", ["zh", "zh-Hant"], "zh"),
        ("北京", ["zh-Hant"], "zh-Hant"),
        ("佢哋喺香港做嘢", ["yue"], "yue"),
        ("佢哋喺香港做嘢", ["zh"], "zh"),
        ("Wer hat das Buch geschrieben?", ["fi", "en"], "de"),
        ("서울의 인구는?", ["fi", "en"], "ko"),
    ],
)
async def test_an_expected_language_decides_a_close_case_only(text: str, expected: list[str], lang: str) -> None:
    assert await ScriptDetector(languages=expected).detect([text]) == [lang]


async def test_a_text_with_a_low_score_may_be_undetermined() -> None:
    texts = ["Ko je napisao ovu knjigu?", "Milloin Suomi itsenäistyi?", "서울"]
    assert await ScriptDetector(min_score=0.5).detect(texts) == ["und", "fi", "ko"]


@pytest.mark.parametrize(
    ("settings", "words"),
    [({"languages": ["klingon"]}, "`languages:`: unknown language 'klingon'"), ({"min_score": 2.0}, "min_score: 2.0")],
)
def test_settings_are_checked(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        ScriptDetector(**settings)


async def test_alemannic_is_not_albanian() -> None:
    assert "sq" not in await detect("D Schwiiz isch es Land z Mitteleuropa, wo vil Lüüt Alemannisch reded.")


@pytest.mark.parametrize(
    ("lang", "how"),
    [("ko", "script"), ("ja", "script"), ("th", "script"), ("fi", "model"), ("sr", "model"), ("yo", "poorly"),
     ("zh-Hant", "if expected"), ("yue", "if expected"), ("zu", "no"), ("ha", "no"), ("arz", "no"), ("ace-Arab", "no")],
)  # fmt: skip
def test_recognition_is_known_without_the_model(lang: str, how: str) -> None:
    assert recognition(Lang(lang)) == how


def test_the_model_has_no_label_that_is_not_listed() -> None:
    texts = [row.native for row in LANGUAGES.values()]
    assert {str(label["lang"]) for text in texts for label in _model().detect(text, model="lite", k=176)} <= LABELS


@needs_data
async def test_japanese_answers_without_kana_are_japanese_and_chinese_ones_chinese() -> None:
    right: Counter[str] = Counter()
    n: Counter[str] = Counter()
    with gzip.open(SHARED / "mkqa" / "mkqa_dev_outside_kilt_subset.jsonl.gz", "rt", encoding="utf-8") as file:
        for record in map(json.loads, file):
            for lang in ("ja", "zh_cn"):
                for text in set(filter(None, record["a"][lang])):
                    if scripts_of(text).keys() == {"Hani"}:
                        n[lang] += 1
                        right[lang] += await detect(text) == [language(lang).code]
    assert n["ja"] > 100
    assert right["ja"] / n["ja"] >= 0.7
    assert right["zh_cn"] / n["zh_cn"] >= 0.96


async def test_a_korean_question_about_an_english_title_is_korean() -> None:
    assert await detect("i hear you knocking but you can't come in을 부른 사람은?") == ["ko"]


async def test_an_english_text_with_a_foreign_word_is_english() -> None:
    assert await detect("The dish 김치 is made of fermented vegetables and eaten with rice.") == ["en"]


async def test_results_depend_neither_on_the_call_nor_on_the_batch() -> None:
    texts = ["kto to jest", "hvem er det", "quem é", "quién es", "wer ist das"] * 20
    together = await detect(*texts)
    assert together == await detect(*texts)
    assert together == [(await detect(text))[0] for text in texts]


async def test_the_beginning_of_a_book_decides() -> None:
    assert await detect("Tämä on suomenkielinen lause. " * 100_000) == ["fi"]


async def test_line_breaks_and_control_characters_do_not_matter() -> None:
    assert await detect("Milloin\nSuomi\x00\r\nitsenäistyi?") == ["fi"]


async def test_only_languages_of_the_table_are_detected() -> None:
    texts = ["lorem ipsum dolor", "zzz qqq xxx", "ⵜⴰⵎⴰⵣⵉⵖⵜ", "ᱥᱟᱱᱛᱟᱲᱤ", "ꦗꦮ"]
    assert set(await detect(*texts)) <= {*LANGUAGES, "und"}


@needs_data
@pytest.mark.parametrize(
    ("lang", "least"),
    [("ko", 0.98), ("zh_cn", 0.99), ("ja", 0.99), ("fi", 0.91), ("en", 0.98), ("ar", 0.97), ("ru", 0.93)],
)
async def test_the_languages_of_mkqa_questions_are_detected(lang: str, least: float) -> None:
    with gzip.open(SHARED / "mkqa" / "mkqa_dev_outside_kilt_subset.jsonl.gz", "rt", encoding="utf-8") as file:
        questions = [json.loads(line)["q"][lang] for line in file]
    detected = await detect(*questions)
    right = sum(code == language(lang).code for code in detected)
    assert right / len(questions) >= least


@needs_data
async def test_the_languages_of_flores_sentences_are_detected() -> None:
    for lang, least in (
        ("kor_Hang", 1.0),
        ("zho_Hans", 0.998),
        ("fin_Latn", 0.99),
        ("rus_Cyrl", 0.99),
        ("hin_Deva", 0.99),
    ):
        (path,) = (SHARED / "flores200" / "dev").glob(f"{lang}*")
        content = path.read_bytes()
        sentences = (gzip.decompress(content) if path.suffix == ".gz" else content).decode().splitlines()
        detected = await detect(*sentences)
        assert sum(code == language(lang).code for code in detected) / len(sentences) >= least
