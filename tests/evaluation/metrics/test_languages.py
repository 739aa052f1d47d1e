"""CoCo-CoLa, nugget recall and the overlap of languages, by hand-computed values."""

from __future__ import annotations

import pytest

from qttrag.evaluation.answers import AnswerRecord
from qttrag.evaluation.datasets import Question
from qttrag.evaluation.metrics import AnswerCase, QuestionSet
from qttrag.evaluation.metrics.registry import evaluate
from qttrag.evaluation.runs.answer_files import Cell
from qttrag.evaluation.runs.folder import References
from qttrag.evaluation.runs.overlap import overlaps
from qttrag.evaluation.runs.scoring import ScoredCell
from qttrag.types import Lang, Passage, TaggedPassage

CONTEXT = (TaggedPassage(Passage("1", "Opened in 1848 by the king.", Lang("en"))),)


def values(text: str, answers: tuple[str, ...], english: tuple[str, ...] = (), *, lang: str = "de",
           nuggets: tuple[tuple[str, ...], ...] = ()) -> dict[str, tuple[float, float]]:  # fmt: skip
    elsewhere = {"en": english} if english else {}
    question = Question("1", "?", Lang(lang), answers, elsewhere=elsewhere, nuggets=nuggets)
    return evaluate(AnswerCase(question, AnswerRecord("1", text, CONTEXT), QuestionSet("jsonl", [question])))


@pytest.mark.parametrize(
    ("text", "ratio", "cumulative"),
    [
        ("In München.", (1.0, 1.0), (1.0, 1.0)),
        ("munich", (0.0, 1.0), (1.0, 1.0)),
        ("München (Munich)", (1.0, 2.0), (2.0, 1.0)),  # right in both: accuracies add up
        ("Mün", (1.0, 1.0), (1.0, 1.0)),  # contained in an answer
        ("Berlin", (0.0, 0.0), (0.0, 1.0)),
        ("", (0.0, 0.0), (0.0, 1.0)),
    ],
)  # fmt: skip
def test_cocola_is_the_part_of_right_answers_that_is_in_the_language_asked_for(
    text: str, ratio: tuple[float, float], cumulative: tuple[float, float]
) -> None:
    found = values(text, ("München",), ("Munich",))
    assert (found.get("cocola_ratio", (0.0, 0.0)), found["cocola_cumulative"]) == (ratio, cumulative)


@pytest.mark.parametrize(
    ("answers", "english", "lang"),
    [(("Berlin",), ("berlin ",), "de"), (("München",), (), "de"), (("Munich",), ("Munich",), "en")],
)
def test_cocola_says_nothing_of_answers_that_read_alike_or_are_not_known_in_english(
    answers: tuple[str, ...], english: tuple[str, ...], lang: str
) -> None:
    assert not {"cocola_ratio", "cocola_cumulative"} & values("Berlin", answers, english, lang=lang).keys()


def test_nuggets_are_counted_in_the_answer_and_in_the_passages() -> None:
    found = values("The king, in 1850.", ("1848",), nuggets=(("1848",), ("the king", "King"), ("the queen",)))
    assert (found["nugget_recall"], found["nugget_recall_read"]) == ((1.0, 3.0), (2.0, 3.0))


def test_a_question_without_nuggets_has_no_nugget_recall() -> None:
    assert not {"nugget_recall", "nugget_recall_read"} & values("1848", ("1848",)).keys()


def scored(lang: str, right: dict[str, float], measure: str = "match_fair") -> ScoredCell:
    by_id = {question_id: {measure: (value, 1.0)} for question_id, value in right.items()}
    return ScoredCell(Cell(f"mkqa {lang}", "own", "base"), lang, References("", ""), {}, by_id, {})


def test_the_overlap_of_two_languages_is_of_the_questions_right_in_either() -> None:
    korean = scored("ko", {"1": 1.0, "2": 1.0, "3": 0.0, "4": 0.0, "only ko": 1.0})
    finnish = scored("fi", {"1": 1.0, "2": 0.0, "3": 1.0, "4": 0.0})
    (found,) = overlaps([korean, finnish])
    assert (found.dataset, found.one, found.other, found.n) == ("mkqa", "ko", "fi", 4)
    shares = {name: (figure.interval.value, figure.n) for name, figure in found.figures.items()}
    assert shares == dict.fromkeys(("overlap", "only_one", "only_other"), (1 / 3, 3))


def test_languages_without_common_questions_have_no_overlap() -> None:
    assert overlaps([scored("ko", {"1": 1.0}), scored("fi", {"2": 1.0})]) == []


def test_questions_with_choices_are_right_by_their_choice() -> None:
    (found,) = overlaps([scored(lang, {"1": 1.0}, "choice") for lang in ("ko", "fi")])
    assert "overlap|right:choice|letter,text|" in found.figures["overlap"].signature
