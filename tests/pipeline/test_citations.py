from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qttrag.pipeline.citations import check
from qttrag.types import Citations

PASSAGES = {1: "다리는 1903년에 개통되었다.", 2: "The bridge was opened in 1903.", 4: "Helsinki on pääkaupunki."}


@pytest.mark.parametrize(
    ("text", "cleaned", "passages", "unknown"),
    [
        ("1903 [2]", "1903 [2]", (2,), ()),
        ("1903 [1][2].", "1903 [1][2].", (1, 2), ()),
        ("1903 [1, 2]", "1903 [1, 2]", (1, 2), ()),
        ("1903년［1］", "1903년［1］", (1,), ()),
        ("1903년〔1〕", "1903년〔1〕", (1,), ()),
        ("1903 [2] [9]", "1903 [2]", (2,), (9,)),
        ("1903 [2, 3]", "1903 [2]", (2,), (3,)),
        ("[2] 1903 [2]", "[2] 1903 [2]", (2,), ()),
    ],
)
def test_markers_are_checked(text: str, cleaned: str, passages: tuple[int, ...], unknown: tuple[int, ...]) -> None:
    checked = check(text, PASSAGES)
    assert (checked.text, checked.citations) == (cleaned, Citations(passages, "marked", unknown))


@pytest.mark.parametrize(
    ("text", "passages"),
    [("1903", (1, 2)), ("1903년", (1,)), ("helsinki.", (4,)), ("\"Helsinki\"", (4,)), ("190", ()), ("3", ()),
     ("١٩٠٣", (1, 2)), ("Ｈｅｌｓｉｎｋｉ", (4,)), ("Hel\u00adsin\u200bki", (4,)), ("", ()),
     ("Espoo", ()), ("1903 [7]", (1, 2))],
)  # fmt: skip
def test_without_a_marker_the_passages_that_contain_the_words_are_cited(text: str, passages: tuple[int, ...]) -> None:
    found = check(text, PASSAGES).citations
    assert found.passages == passages
    assert found.how == ("found" if passages else None)


@given(st.text(alphabet="0123456789[],［］【】; a", max_size=40))
def test_only_passages_of_the_prompt_are_cited(text: str) -> None:
    checked = check(text, PASSAGES)
    assert set(checked.citations.passages) <= PASSAGES.keys()
    assert not set(checked.citations.unknown) & PASSAGES.keys()
