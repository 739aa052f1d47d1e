"""Figures by threshold, by score and by passages in another language; what a question costs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from qttrag.evaluation.report import cost, sensitivity
from qttrag.evaluation.report.tables import Table
from qttrag.evaluation.runs import figures, scoring
from qttrag.evaluation.runs.folder import Run
from tests.evaluation.report.test_report import write_run

RIGHT, WRONG = "서울특별시", "부산"
ROWS: dict[str, Any] = {
    "cross_rag": {},
    "qtt_rag": {},
    "filter_4": {"strategy": "hard_filter", "threshold": 4.0},
    "filter_any": {"strategy": "hard_filter", "drop": "any"},
}


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """A run whose passages are two English ones, translated with scores 4, 3, 5 and without, and a Korean one."""
    texts = {
        "cross_rag": [RIGHT, WRONG, WRONG, WRONG],
        "qtt_rag": [RIGHT, RIGHT, RIGHT, WRONG],
        "filter_4": [RIGHT, RIGHT, WRONG, WRONG],
        "filter_any": [RIGHT, WRONG, WRONG, WRONG],
    }
    written = write_run(tmp_path, texts)
    suite = {**written.identity["suite"], "strategies": ROWS}
    suite["headline"] = {"measure": "match_bergen", "of": "qtt_rag", "over": "cross_rag"}
    return replace(written, identity={**written.identity, "suite": suite})


def tables(run: Run) -> dict[str, Table]:
    scored = scoring.score(run)
    return {table.title: table for table in sensitivity.tables(run, scored, figures.figures(scored))}


def test_each_threshold_shows_what_it_keeps_and_what_the_filter_answered_with_it(run: Run) -> None:
    rows = {row[2]: row[3:] for row in tables(run)["the filter by its threshold"].rows}
    assert list(rows) == ["1.0", "1.5", "2.0", "2.5", "3.0", "3.5", "4.0", "4.5", "5.0"]
    kept = {threshold: row[1:3] for threshold, row in rows.items()}
    assert (kept["3.0"], kept["3.5"], kept["5.0"]) == (["100.0", "50.0"], ["100.0", "0.0"], ["100.0", "0.0"])
    assert rows["4.0"][0] == "8"
    assert rows["4.0"][3].startswith("50.0 ")
    assert rows["3.5"][4].startswith("25.0 ")
    assert [row[3] for threshold, row in rows.items() if threshold != "4.0"] == ["–"] * 8


def test_scores_stand_by_languages_and_by_whether_the_answer_is_right(run: Run) -> None:
    rows = tables(run)["scores by language and outcome"].rows
    assert [row[2:] for row in rows] == [
        ["en → ko", "right", "3", "4.00", "4.00 / 4.00 / 4.00", "0.0"],
        ["en → ko", "wrong", "1", "4.00", "4.00 / 4.00 / 4.00", "0.0"],
    ]


def test_gains_stand_by_the_share_of_passages_in_another_language(run: Run) -> None:
    ((*_, share, n, gain, _),) = tables(run)["gain by passages in another language"].rows
    assert (share, n) == ("up to two thirds", "4")
    assert gain.startswith("+50.0 ")


@pytest.mark.parametrize(
    ("share", "name"),
    [(0.0, "none"), (0.2, "up to a third"), (1 / 3, "up to a third"), (0.4, "up to two thirds"), (1.0, "more")],
)
def test_a_bound_belongs_to_the_lower_group(share: float, name: str) -> None:
    assert sensitivity.bucket(share) == name


def test_a_question_costs_what_it_spends_and_what_the_cache_saved(run: Run) -> None:
    scored = scoring.score(run)
    ((*_, table_row),) = [[row for row in cost.table(scored).rows if row[0] == "qtt_rag"]]
    assert table_row[1:3] == ["answer", "4"]
    assert table_row[4:7] == ["0.500", "1.0", "1.0"]
    assert table_row[7:] == ["–"] * 4
    cached = [
        replace(answer, counts={"answer.cached": 1, "answer.cached_prompt_tokens": 90})
        for answer in scored[0].answers.values()
    ]
    (first, *_) = cost.table([replace(scored[0], answers={answer.question_id: answer for answer in cached})]).rows
    assert first[5:9] == ["1.0", "0.0", "90.0", "0.0"]
