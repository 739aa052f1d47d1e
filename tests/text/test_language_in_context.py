"""The language of short texts in a conversation."""

from __future__ import annotations

import pytest

from qttrag.detectors.script import detect
from qttrag.text.language_in_context import language_in_context

KOREAN = ["핀란드에서 가장 큰 회사는 어디입니까?", "그 회사는 언제 설립되었습니까?"]
FINNISH = ["Mikä on Suomen suurin yritys ja missä se sijaitsee?"]
ENGLISH = ["Which company is the largest one in Finland?"]
JAPANESE = ["フィンランドで一番大きい会社はどこですか。"]


def in_context(text: str, earlier: list[str]) -> str:
    return language_in_context(text, detect(text), [(each, detect(each)) for each in earlier])


@pytest.mark.parametrize("text", ["Nokia?", "nokia?", "EUR", "1990?", "👍", "5 km?", "Ludwig van Beethoven?"])
@pytest.mark.parametrize(("earlier", "lang"), [(KOREAN, "ko"), (FINNISH, "fi"), (ENGLISH, "en"), (JAPANESE, "ja")])
def test_a_text_that_does_not_tell_its_language_is_in_the_one_before(text: str, earlier: list[str], lang: str) -> None:
    assert in_context(text, earlier) == lang


@pytest.mark.parametrize(
    ("text", "earlier", "lang"),
    [
        ("What is the largest company in Finland?", KOREAN, "en"),
        ("Mikä on Suomen suurin yritys?", ENGLISH, "fi"),
        ("서울은?", ENGLISH, "ko"),
        ("東京?", JAPANESE, "ja"),
        ("Mikä on pääkaupunki?", ["Hi", "👍"], "fi"),
        ("👍", ["Moi", "Mikä on pääkaupunki?"], "fi"),
        ("Nokia?", [*FINNISH, *KOREAN], "ko"),
        ("1990?", [*KOREAN, "Nokia?", "EUR"], "ko"),
        ("1990?", ["👍"], "und"),
    ],
)
def test_a_text_that_tells_its_language_decides(text: str, earlier: list[str], lang: str) -> None:
    assert in_context(text, earlier) == lang
