"""Beginnings of prompts that are kept, and the system turns that they are."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from qttrag.generators.beginnings import Beginnings, SystemTurns, common
from qttrag.types import Message

LONG = "Answer in a few words. " * 20


@pytest.fixture
def beginnings() -> Beginnings[str]:
    return Beginnings()


def chat(system: str, user: str) -> list[Message]:
    return [{"role": "system", "content": system}, {"role": "user", "content": user}]


def prompt(messages: Sequence[Message]) -> list[int]:
    """Return a token for each character of a chat."""
    return [ord(c) for c in "".join(f"<{message['role']}>{message['content']}" for message in messages) + "<reply>"]


def test_prompts_share_their_tokens_up_to_the_first_difference() -> None:
    assert common([1, 2, 3], [1, 2, 4]) == 2
    assert common([1, 2], [1, 2, 3]) == 2
    assert common([], [1]) == 0


def test_what_was_kept_is_returned_for_these_tokens_only(beginnings: Beginnings[str]) -> None:
    beginnings.keep([1, 2], "state")
    assert beginnings.get([1, 2]) == "state"
    assert beginnings.get([1]) is None
    assert beginnings.get([1, 2, 3]) is None


def test_the_least_recently_used_beginning_is_dropped(beginnings: Beginnings[str]) -> None:
    beginnings.keep(range(1000), "old")
    beginnings.keep(range(1, 1001), "other")
    assert beginnings.get(range(1000)) == "old"
    beginnings.keep(range(2, 1002), "new")
    assert beginnings.get(range(1, 1001)) is None
    assert beginnings.get(range(1000)) == "old"


def test_a_beginning_longer_than_the_limit_is_kept_on_its_own(beginnings: Beginnings[str]) -> None:
    beginnings.keep([1], "short")
    beginnings.keep(range(5000), "long")
    assert beginnings.get(range(5000)) == "long"
    assert beginnings.get([1]) is None


@pytest.mark.parametrize("user", ["When was it built?", "?!", ""])
def test_instructions_end_where_the_text_of_the_user_begins(user: str) -> None:
    messages = chat(LONG, user)
    ids = prompt(messages)
    length = SystemTurns(prompt).length(messages, ids)
    assert "".join(map(chr, ids[:length])) == f"<system>{LONG}<user>"


def test_short_instructions_and_chats_without_any_have_no_length() -> None:
    turns = SystemTurns(prompt)
    for messages in (chat("Answer.", "When?"), chat(LONG, "When?")[1:], chat(LONG, "When?")[:1]):
        assert turns.length(messages, prompt(messages)) == 0


def test_instructions_that_a_template_puts_after_the_text_have_no_length() -> None:
    def reversed_prompt(messages: Sequence[Message]) -> list[int]:
        return prompt(messages[::-1])

    messages = chat(LONG, "When was it built?" * 10)
    assert SystemTurns(reversed_prompt).length(messages, reversed_prompt(messages)) == 0


def test_each_text_of_a_system_turn_has_its_own_length() -> None:
    turns = SystemTurns(prompt)
    lengths = [turns.length(chat(LONG * n, "When?"), prompt(chat(LONG * n, "When?"))) for n in (1, 2, 1)]
    assert lengths[0] == lengths[2] < lengths[1]


def test_many_texts_are_forgotten_one_by_one() -> None:
    turns = SystemTurns(prompt)
    for n in range(100):
        messages = chat(f"{n} {LONG}", "When?")
        assert turns.length(messages, prompt(messages)) > len(LONG)
    assert len(turns._ids) == 32
