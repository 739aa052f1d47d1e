"""Separating reasoning from the answer, however the text is split into pieces."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qttrag.text.reasoning import ReasoningSeparator, Separated, opened_by, separate

CASES = {
    "no reasoning": ("유로", "유로", ""),
    "a block": ("<think>\nhm\n</think>\n\n유로", "유로", "hm"),
    "an empty block": ("<think>\n\n</think>\n\n유로", "유로", ""),
    "a closing tag alone": ("hm, [2]\n</think>\n\n유로", "유로", "hm, [2]"),
    "an opening tag alone": ("<think>\nhm", "", "hm"),
    "two blocks": ("<think>a</think><think>b</think>유로", "유로", "ab"),
    "brackets": ("[THINK]hm[/THINK]유로", "유로", "hm"),
    "Cohere": ("<|START_THINKING|>hm<|END_THINKING|><|START_RESPONSE|>유로<|END_RESPONSE|>", "유로", "hm"),
    "harmony": (
        "<|channel|>analysis<|message|>hm<|end|><|start|>assistant<|channel|>final<|message|>유로<|return|>",
        "유로",
        "hm",
    ),
    "harmony, final alone": ("<|channel|>final<|message|>유로", "유로", ""),
    "harmony, cut": ("<|channel|>analysis<|message|>hm", "", "hm"),
    "an end token": ("유로<|im_end|>\n", "유로", ""),
    "another turn": ("유로<|eot_id|>\n<|start_header_id|>user", "유로", ""),
    "a comparison": ("2 < 3 and <thin", "2 < 3 and <thin", ""),
    "a citation": ("유로 [1]", "유로 [1]", ""),
}


@pytest.mark.parametrize("case", CASES)
def test_the_answer_is_what_is_not_reasoning(case: str) -> None:
    text, answer, reasoning = CASES[case]
    separated = separate(text)
    assert (separated.answer, separated.reasoning.strip()) == (answer, reasoning)


@given(case=st.sampled_from(sorted(CASES)), cuts=st.sets(st.integers(1, 120)))
def test_pieces_do_not_matter(case: str, cuts: set[int]) -> None:
    text, answer, reasoning = CASES[case]
    bounds = [0, *sorted(cut for cut in cuts if cut < len(text)), len(text)]
    separator, answered, thought = ReasoningSeparator(), "", ""
    pieces = [separator.feed(text[a:b]) for a, b in itertools.pairwise(bounds)]
    for piece in [*pieces, separator.finish()]:
        answered = piece.answer if piece.restart else answered + piece.answer
        thought += piece.reasoning
    assert (answered, thought.strip()) == (answer, reasoning)


PARTS = ["a", " ", "\n", "<", "<think>", "</think>", "<|channel|>", "final", "<|message|>", "<|end|>", "<|start|>"]


@given(st.lists(st.sampled_from(PARTS)).map("".join))
def test_any_text_is_separated_without_an_error(text: str) -> None:
    separated = separate(text)
    assert "think>" not in separated.answer
    assert len(separated.answer) + len(separated.reasoning) <= len(text)


def test_a_closing_tag_alone_restarts_the_answer() -> None:
    separator = ReasoningSeparator()
    assert separator.feed("hm").answer == "hm"
    closed = separator.feed("</think>유로")
    assert (closed.answer, closed.reasoning, closed.restart) == ("유로", "hm", True)


def test_white_space_before_an_answer_without_markers_stays() -> None:
    assert separate(" \n유로 ").answer == " \n유로 "
    assert separate(" \n").answer == " \n"


def test_a_text_that_may_begin_with_reasoning_is_held_back() -> None:
    separator = ReasoningSeparator("either")
    assert separator.feed("hm") == Separated()
    assert separator.feed("</think>유로") == Separated("유로", "hm")


@pytest.mark.parametrize(("cut", "answer", "reasoning"), [(False, "hm", ""), (True, "", "hm")])
def test_without_a_marker_it_is_the_answer_unless_it_is_cut(cut: bool, answer: str, reasoning: str) -> None:
    separator = ReasoningSeparator("either")
    separator.feed("hm")
    assert separator.finish(cut=cut)[:2] == (answer, reasoning)


@pytest.mark.parametrize(("prompt", "opened"), [("...<think>\n", True), ("<think>\n\n</think>\n\n", False)])
def test_a_prompt_may_open_the_reasoning(prompt: str, opened: bool) -> None:
    assert opened_by(prompt) is opened
