from __future__ import annotations

import gzip
import json

import pytest

from qttrag.detectors.script import ScriptDetector
from qttrag.text.languages import LANGUAGES, language
from tests import shared_data

SHARED = shared_data.FOLDER / "data"
needs_data = pytest.mark.skipif(not SHARED.is_dir(), reason=f"labelled questions are not at {SHARED}")


async def detect(*texts: str) -> list[str]:
    return list(await ScriptDetector().detect(texts))


@pytest.mark.parametrize(
    ("text", "lang"),
    [
        ("서울의 인구는?", "ko"),
        ("東京", "zh"),
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
        ("zho_Hans", 1.0),
        ("fin_Latn", 0.99),
        ("rus_Cyrl", 0.99),
        ("hin_Deva", 0.99),
    ):
        (path,) = (SHARED / "flores200" / "dev").glob(f"{lang}*")
        content = path.read_bytes()
        sentences = (gzip.decompress(content) if path.suffix == ".gz" else content).decode().splitlines()
        detected = await detect(*sentences)
        assert sum(code == language(lang).code for code in detected) / len(sentences) >= least
