"""Measures of choices, abstentions, citations and longer answers, by hand-computed values."""

from __future__ import annotations

from typing import Any

import pytest

from qttrag.evaluation.answers import AnswerRecord
from qttrag.evaluation.datasets import Question
from qttrag.evaluation.metrics import AnswerCase, QuestionSet
from qttrag.evaluation.metrics.choice import chosen_of
from qttrag.evaluation.metrics.registry import evaluate
from qttrag.evaluation.metrics.rouge import score
from qttrag.types import Lang, Passage, TaggedPassage

CONTEXT = tuple(TaggedPassage(Passage(str(n), text, Lang("en"))) for n, text in enumerate(
    ["It rained.", "Helsinki is the capital.", "Turku was the capital."]))  # fmt: skip
CHOICES = ("A bridge", "The lake", "Kaksi siltaa", "1950")


def values(text: str, answers: tuple[str, ...] = ("Helsinki",), *, about: dict[str, Any] | None = None,
           context: tuple[TaggedPassage, ...] = CONTEXT, **fields: Any) -> dict[str, tuple[float, float]]:  # fmt: skip
    question = Question("1", "?", Lang("en"), answers, **(about or {}))
    return evaluate(AnswerCase(question, AnswerRecord("1", text, context, **fields), QuestionSet("jsonl", [question])))


@pytest.mark.parametrize(
    ("text", "chosen"),
    [
        ("C", 2), ("c)", 2), ("(B) The lake", 1), ("B", 1), ("Ｄ．", 3), ("the lake", 1), ("A bridge", 0),
        ("It was built in 1950.", 3), ("A bridge or the lake", None), ("E", None), ("", None),
        ("A river", None), ("a", 0), ("B. A bridge", 0),
    ],
)  # fmt: skip
def test_a_choice_is_named_by_its_letter_or_its_text(text: str, chosen: int | None) -> None:
    assert chosen_of(text, CHOICES) == chosen


def test_choosing_right_is_one_and_choosing_nothing_is_zero() -> None:
    about = {"choices": CHOICES}
    assert values("C", ("Kaksi siltaa",), about=about)["choice"] == (1.0, 1.0)
    assert values("no idea", ("Kaksi siltaa",), about=about)["choice"] == (0.0, 1.0)
    assert "choice" not in values("C")


def test_a_question_without_references_is_measured_only_where_none_is_needed() -> None:
    measured = values("Helsinki", (), abstained=False, about={"answerable": False})
    assert measured["answered_without_evidence"] == (1.0, 1.0)
    assert not {"char3_fair", "chrf", "answer_recall@5", "rouge_l", "citation_precision"} & measured.keys()


def test_abstaining_is_an_error_only_where_the_passages_have_the_answer() -> None:
    assert values("?", abstained=True, about={"answerable": True})["abstained_with_evidence"] == (1.0, 1.0)
    assert values("?", abstained=True, about={"answerable": False})["answered_without_evidence"] == (0.0, 1.0)
    assert not {"abstained_with_evidence", "answered_without_evidence"} & values("?", abstained=True).keys()


def test_rouge_l_counts_words_in_order_and_characters_where_words_have_no_spaces() -> None:
    assert score("the cat sat", ["the cat lay down"]) == pytest.approx(2 * 2 / 7)
    assert score("北京大学", ["北京"]) == pytest.approx(2 * 2 / 6)
    assert score("sat cat the", ["the cat sat"]) == pytest.approx(1 / 3)
    assert score("", ["x"]) == 0.0


def test_citations_are_right_where_the_cited_passage_has_the_answer() -> None:
    measured = values("Helsinki [2] [3]")
    assert (measured["citation_precision"], measured["citation_recall"]) == ((1.0, 2.0), (1.0, 1.0))
    assert values("Helsinki [1]")["citation_recall"] == (0.0, 1.0)
    assert not {"citation_precision", "citation_recall"} & values("Helsinki").keys()


def test_an_answer_is_in_the_passages_if_its_words_stand_there_in_a_row() -> None:
    assert values("the capital [2]")["in_passages"] == (1.0, 1.0)
    assert values("capital the")["in_passages"] == (0.0, 1.0)
    assert "in_passages" not in values("x", context=())
    assert "in_passages" not in values("not there", abstained=True)
