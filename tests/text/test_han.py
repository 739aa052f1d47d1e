"""What characters alone say of a text in Han characters."""

from __future__ import annotations

import pytest

from qttrag.text.han import evidence


@pytest.mark.parametrize(
    ("text", "langs", "script"),
    [
        ("駅前広場", {"ja"}, None),
        ("東京大学", {"ja"}, None),
        ("我们你们", {"zh"}, "Hans"),
        ("國立臺灣大學", {"zh"}, "Hant"),
        ("人口", {"ja", "zh"}, None),
        ("北京", {"ja", "zh"}, None),
        ("佢哋", {"zh"}, "Hant"),
        ("", {"ja", "zh"}, None),
    ],
)
def test_characters_of_one_standard_decide(text: str, langs: set[str], script: str | None) -> None:
    found = evidence(text)
    assert set(map(str, found.langs)) == langs
    assert found.script == script


def test_only_written_cantonese_is_cantonese() -> None:
    assert evidence("你喺邊度").cantonese
    assert not evidence("你在哪裡").cantonese
