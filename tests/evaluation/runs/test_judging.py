"""A language model judges the answers of a run: its verdicts, resuming, and its agreement with the references."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from qttrag.errors import InputError
from qttrag.evaluation.report.gaps import gaps
from qttrag.evaluation.runs import judging, scoring
from qttrag.evaluation.runs.folder import Run
from qttrag.evaluation.statistics import cohens_kappa
from qttrag.prompts import Prompts
from qttrag.testing import FakeGenerator
from qttrag.types import Message
from tests.evaluation.report.test_report import write_run

TEXTS: dict[str, list[str | None]] = {"base": ["서울", "부산", None], "qtt_rag": ["서울특별시", "", "모름"]}


def by_hand(messages: Sequence[Message]) -> str:
    if "모름" in messages[-1]["content"]:
        return "I cannot say."
    return json.dumps({"right": "서울" in messages[-1]["content"].rpartition("Answer:")[2]})


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return write_run(tmp_path, TEXTS)


async def test_the_verdicts_become_a_measure_and_unreadable_replies_are_counted(run: Run) -> None:
    outcome = await judging.judge(run, FakeGenerator(by_hand), Prompts())
    assert outcome == (4, 0, 1)  # the failed and the empty answer are not judged
    judged = {
        cell.cell.strategy: {i: v["judged_right"][0] for i, v in cell.values.items() if "judged_right" in v}
        for cell in scoring.score(run)
    }
    assert judged == {"base": {"0": 1.0, "1": 0.0}, "qtt_rag": {"0": 1.0}}


async def test_the_verdicts_of_a_run_are_read_once_for_figures_and_notes(run: Run) -> None:
    await judging.judge(run, FakeGenerator(by_hand), Prompts())
    scored = scoring.score(run)
    (run.folder / judging.FILE).unlink()
    assert any("judged by fake" in note and "1 of 4 replies" in note for note in gaps(run, scored))


async def test_an_interrupted_judgement_goes_on(run: Run) -> None:
    generator = FakeGenerator(by_hand)
    await judging.judge(run, generator, Prompts())
    path = run.folder / judging.FILE
    path.write_bytes(path.read_bytes()[:-10])  # killed while it wrote the last verdict
    assert await judging.judge(run, generator, Prompts()) == (1, 3, 1)
    assert len(judging.read(run)[1]) == 4


async def test_another_judge_is_refused_unless_it_begins_again(run: Run) -> None:
    await judging.judge(run, FakeGenerator(by_hand), Prompts())
    other = FakeGenerator(lambda messages: '{"right": true}')
    other.identity = "other"
    with pytest.raises(InputError, match="another judge"):
        await judging.judge(run, other, Prompts())
    assert (await judging.judge(run, other, Prompts(), again=True)).judged == 4


async def test_a_verdict_is_of_one_text(run: Run, tmp_path: Path) -> None:
    await judging.judge(run, FakeGenerator(by_hand), Prompts())
    answers = run.cells()[0].file(run.folder)
    answers.write_text(answers.read_text("utf-8").replace('"부산"', '"대구"'), "utf-8")
    assert "judged_right" not in scoring.score(run)[0].values["1"]


def test_agreement_beyond_chance_by_hand() -> None:
    assert cohens_kappa([(True, True), (False, False)]) == 1.0
    assert cohens_kappa([(True, False), (False, True)]) == -1.0
    assert cohens_kappa([(True, True)] * 4 + [(True, False)] * 2 + [(False, False)] * 4) == pytest.approx(
        0.6154, abs=1e-4
    )
