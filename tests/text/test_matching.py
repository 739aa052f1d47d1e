"""Comparing texts."""

from __future__ import annotations

import pytest

from qttrag.text.matching import similarity


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("서울", "서울.", 1.0),
        ("Han River", "the Han River", 0.83),
        ("서울", "부산", 0.0),
        ("A", "a", 1.0),
        ("", "", 1.0),
    ],
)
def test_similarity_is_the_share_of_equal_neighbours(one: str, other: str, expected: float) -> None:
    assert similarity(one, other) == pytest.approx(expected, abs=0.01)
