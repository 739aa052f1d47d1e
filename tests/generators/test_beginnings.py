"""Beginnings of prompts that are kept, and prompts that are grouped by them."""

from __future__ import annotations

import pytest

from qttrag.generators.beginnings import Beginning, Beginnings, Openings, common


@pytest.fixture
def beginnings() -> Beginnings[str]:
    return Beginnings()


def test_prompts_share_their_tokens_up_to_the_first_difference() -> None:
    assert common([1, 2, 3], [1, 2, 4]) == 2
    assert common([1, 2], [1, 2, 3]) == 2
    assert common([], [1]) == 0


def test_a_prompt_shares_less_than_all_its_tokens(beginnings: Beginnings[str]) -> None:
    beginnings.remember([1, 2, 3])
    assert beginnings.shared([1, 2, 3]) == 2
    assert beginnings.shared([1, 2, 3, 4]) == 3
    assert beginnings.shared([5]) == 0


def test_the_longest_kept_beginning_is_returned(beginnings: Beginnings[str]) -> None:
    for ids in ([1, 2], [1, 2, 3], [1, 2, 3, 9]):
        beginnings.keep(Beginning(ids, "state"))
    assert beginnings.longest([1, 2, 3, 4]) == ([1, 2, 3], "state")
    assert beginnings.longest([1, 4]) is None


def test_the_least_recently_used_beginning_is_dropped(beginnings: Beginnings[str]) -> None:
    old, other = list(range(1000)), list(range(1, 1001))
    beginnings.keep(Beginning(old, "old"))
    beginnings.keep(Beginning(other, "other"))
    assert beginnings.longest(old) is not None
    beginnings.keep(Beginning(list(range(2, 1002)), "new"))
    assert beginnings.longest(other) is None
    assert beginnings.longest(old) is not None


def test_a_beginning_longer_than_the_limit_is_kept_on_its_own(beginnings: Beginnings[str]) -> None:
    beginnings.keep(Beginning([1], "short"))
    beginnings.keep(Beginning(list(range(5000)), "long"))
    assert beginnings.longest(list(range(5001))) is not None
    assert beginnings.longest([1]) is None


def test_prompts_with_the_same_instructions_get_a_group_after_the_first_few() -> None:
    openings, instructions = Openings(), list(range(64))
    groups = [openings.group([*instructions, n]) for n in range(12)]
    assert groups[:8] == [None] * 8
    assert len({*groups[8:]}) == 1
    assert groups[8] is not None


def test_other_prompts_have_no_group() -> None:
    openings = Openings()
    assert {openings.group([n, *range(63)]) for n in range(500)} == {None}
