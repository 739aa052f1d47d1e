"""Cases of a run side by side, and that nothing in them can leave its place."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from qttrag.cli import app
from qttrag.evaluation.report import cases as report
from qttrag.evaluation.report.cases import Cases, Kind
from qttrag.evaluation.runs import scoring
from qttrag.evaluation.runs.folder import Run
from tests.evaluation.report.test_report import HOSTILE, write_run

RIGHT, HALF, WRONG = "서울특별시", "서울특", "부산"  # 1, 1/3 and 0 of the 3-grams of the reference


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return write_run(
        tmp_path / "run", {"base": [WRONG, HALF, RIGHT, RIGHT, WRONG], "qtt_rag": [RIGHT, RIGHT, WRONG, RIGHT, WRONG]}
    )


def ids(found: Cases) -> list[str]:
    return [case.question_id for case in found.cases]


def found(run: Run, kind: Kind, **more: Any) -> Cases:
    return report.cases(run, scoring.score(run), kind, **more)


def test_rescued_questions_come_with_the_largest_gain_first(run: Run) -> None:
    rescued = found(run, "rescued")
    assert (ids(rescued), rescued.n, rescued.total) == (["0", "1"], 2, 5)
    assert ids(found(run, "rescued", limit=1)) == ["0"]


def test_harmed_questions_are_those_that_the_other_strategy_answers(run: Run) -> None:
    assert ids(found(run, "harmed")) == ["2"]
    assert ids(found(run, "harmed", of="base", over="qtt_rag")) == ["0", "1"]


def test_scores_and_answers_disagree_by_the_mean_score_of_every_translation(run: Run) -> None:
    assert ids(found(run, "low-score-right", low=4.1)) == ["0", "1", "3"]  # the scores are 4, 3 and 5
    assert ids(found(run, "low-score-right", low=4.0)) == []
    assert ids(found(run, "high-score-wrong", high=4.0)) == ["2", "4"]
    assert ids(found(run, "high-score-wrong", high=4.1)) == []


def test_a_table_has_both_answers_and_what_was_read_for_each(run: Run) -> None:
    (case,) = found(run, "harmed").cases
    head, answer, value, first, second, third = report.rows(case)
    assert (head, answer) == (["", "base", "qtt_rag"], ["answer", RIGHT, WRONG])
    assert value == ["value", "1.00", "0.00"]
    assert "translation: 수도는 서울특별시.\nsemantic 4 · grammar 3 · fluency 5" in first[1]
    assert "unscored: empty" in second[2]
    assert third[1].startswith("(ko) 한국")


def test_html_escapes_every_text(run: Run) -> None:
    page = report.html(found(run, "rescued"))
    assert "<script>" not in page
    assert "&lt;script&gt;alert(&#34;x&#34;)" in page


def test_markdown_has_no_markup_from_texts_and_one_line_a_row(run: Run) -> None:
    text = report.markdown(found(run, "rescued"))
    assert "<script>" not in text
    assert "<b>" not in text
    rows = [line for line in text.splitlines() if line.startswith("| passage 1")]
    assert len(rows) == 2
    assert HOSTILE not in text


@pytest.mark.parametrize(
    "hostile", ["a|b", "[x](javascript:alert(1))", "![](http://a)", "# x", "*x*", "<img src=x>", "`x`"]
)
def test_markdown_shows_a_text_as_it_is(hostile: str) -> None:
    import html

    escaped = report._escaped(hostile)
    assert html.unescape(escaped).replace("\\", "") == hostile
    assert not any(f"{mark}" in escaped.replace(f"\\{mark}", "") for mark in "|[]()*`#!<")


def call(*words: Any) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["eval", "cases", *map(str, words)])
    return result.exit_code, result.output


def test_the_command_prints_each_form(run: Run) -> None:
    forms: Sequence[list[str]] = ([], ["--html"], ["--markdown"], ["--json"])
    plain, page, markdown, data = (call(run.folder, "-k", "rescued", *form) for form in forms)
    assert [each[0] for each in (plain, page, markdown, data)] == [0] * 4
    assert "2 of 5 questions" in plain[1]
    assert page[1].startswith("<!doctype html>")
    assert markdown[1].startswith("# qtt\\_rag is right, base is not")
    assert json.loads(data[1])["cases"][0]["of"]["passages"][0]["scores"] == "semantic 4 · grammar 3 · fluency 5"


@pytest.mark.parametrize(
    ("words", "complaint"),
    [(["--over", "bas"], "unknown strategy 'bas'; did you mean 'base'"), (["--html", "--json"], "exclude one another")],
)
def test_unknown_strategies_and_two_forms_are_refused(run: Run, words: list[str], complaint: str) -> None:
    result = CliRunner().invoke(app, ["eval", "cases", str(run.folder), "-k", "rescued", *words])
    assert complaint in str(result.exception)
