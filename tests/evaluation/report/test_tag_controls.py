"""What a report says of the tag controls of a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from qttrag.evaluation.report import tag_controls
from qttrag.evaluation.runs import figures, scoring
from qttrag.evaluation.runs.figures import Comparison
from qttrag.evaluation.runs.folder import Run
from qttrag.evaluation.statistics import Interval
from tests.evaluation.report.test_report import write_run

RIGHT, WRONG = "서울특별시", "부산"
ROWS: dict[str, Any] = {
    "cross_rag": {},
    "qtt_rag": {},
    "no_tags": {"strategy": "qtt_rag", "tags": False},
    "inverted": {"strategy": "qtt_rag", "tags": "inverted"},
}


def controlled(folder: Path, texts: Mapping[str, Sequence[str | None]], rows: dict[str, Any] = ROWS) -> Run:
    run = write_run(folder, texts)
    suite = {**run.identity["suite"], "strategies": rows, "headline": {"of": "qtt_rag", "over": "cross_rag"}}
    return replace(run, identity={**run.identity, "suite": suite})


def found(run: Run) -> tag_controls.Findings:
    scored = scoring.score(run)
    return tag_controls.findings(run, scored, figures.figures(scored))


def compared(difference: float, p: float, n: int = 40) -> Comparison:
    interval = Interval(difference, difference - 0.1, difference + 0.1, "bca")
    return Comparison("d", "g", "qtt_rag", "c", "char3_bergen", interval, n, p, p)


def test_each_control_is_compared_with_the_measured_scores_on_the_same_questions(tmp_path: Path) -> None:
    texts = {
        "cross_rag": [RIGHT] * 20,
        "qtt_rag": [RIGHT] * 20,
        "no_tags": [RIGHT] * 19 + [WRONG],
        "inverted": [WRONG] * 20,
    }
    (table,), (sentence,) = found(controlled(tmp_path, texts))
    assert [row[2] for row in table.rows] == ["measured", "none", "inverted"]
    assert [row[6].split()[0] for row in table.rows] == ["–", "+5.0", "+100.0"]
    assert "uses the scores (20 questions)" in sentence
    assert "significantly worse with inverted than" in sentence
    assert "not significantly better than no scores" in sentence


def test_answers_that_change_are_counted_also_where_the_figure_does_not(tmp_path: Path) -> None:
    texts: dict[str, list[str | None]] = {
        "cross_rag": [RIGHT] * 4,
        "qtt_rag": [RIGHT, WRONG, RIGHT, None],
        "no_tags": [f"{RIGHT}.", "대구", WRONG, RIGHT],
        "inverted": [RIGHT, WRONG, RIGHT, RIGHT],
    }
    (table,), _ = found(controlled(tmp_path, texts))
    assert table.columns[5] == "answers changed"
    assert [row[5] for row in table.rows] == ["–", "2 of 3", "0 of 3"]  # the failed question is left out


def test_without_a_significant_difference_nothing_is_claimed_of_the_generator() -> None:
    said = tag_controls.sentence({"inverted": compared(0.35, 0.1), "none": compared(0.0, 1.0, n=38)})
    assert said.startswith(
        "38 questions do not show that the generator uses the scores: none of inverted and no scores"
    )
    assert "does not show that it ignores them: the largest difference, to inverted, is +35.0 [+25.0, +45.0]" in said


def test_scores_that_do_harm_are_said_to() -> None:
    said = tag_controls.sentence({"constant": compared(-0.2, 0.01)})
    assert "significantly better with constant than with the measured ones" in said


def test_a_run_without_controls_says_nothing_of_them(tmp_path: Path) -> None:
    run = controlled(tmp_path, {"cross_rag": [RIGHT], "qtt_rag": [RIGHT]}, {"cross_rag": {}, "qtt_rag": {}})
    assert found(run) == ([], [])


def test_rows_with_other_options_are_no_controls(tmp_path: Path) -> None:
    rows = {"qtt_rag": {}, "after": {"strategy": "qtt_rag", "tags": "inverted", "tag_place": "after"}}
    assert found(controlled(tmp_path, {"qtt_rag": [RIGHT], "after": [WRONG]}, {**rows, "cross_rag": {}})) == ([], [])
