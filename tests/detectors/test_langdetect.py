from __future__ import annotations

import asyncio

from qttrag.detectors.langdetect import LangdetectDetector


async def test_languages_have_the_codes_of_the_table() -> None:
    texts = [
        "이것은 한국어로 쓴 문장입니다.",
        "Tämä on suomenkielinen lause.",
        "这是一个中文句子。",
        "This is English text.",
    ]
    assert await LangdetectDetector().detect(texts) == ["ko", "fi", "zh", "en"]


async def test_a_text_without_letters_is_undetermined() -> None:
    assert await LangdetectDetector().detect(["", "1988"]) == ["und", "und"]


async def test_concurrent_calls_give_equal_results() -> None:
    texts = ["kto to", "hvem er", "quem", "wer", "mikä on"] * 4
    detector = LangdetectDetector()
    first, *others = await asyncio.gather(*(detector.detect(texts) for _ in range(4)))
    assert all(other == first for other in others)
