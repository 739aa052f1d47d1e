"""The tour: what it says of its questions is so, and its next commands run."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from demo import tour
from demo.corpus import questions
from demo.tour_stops import STOPS, candidates, lacks
from qttrag.types import Lang, Passage, QualityScores, TaggedPassage
from tests.demo.conftest import ROOT
from tests.openai_client.test_balancing import free_port
from tests.processes import serving


@pytest.fixture(scope="module")
def found(demo_home: Path, tmp_path_factory: pytest.TempPathFactory) -> list[tour.Found]:
    """The tour's stops; the collections are those that `make demo` builds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("QTTRAG_HOME", str(demo_home))
        patch.setenv("QTTRAG_CACHE__PATH", str(tmp_path_factory.mktemp("cache") / "cache.sqlite"))
        return asyncio.run(tour.tour())


def test_every_stop_has_a_question(found: list[tour.Found]) -> None:
    assert [each.stop for each in found] == list(STOPS)


def test_the_questions_are_of_the_test_set(found: list[tour.Found]) -> None:
    of_test = {question.question_id for question in questions("test")}
    assert all(each.asked.question.sheet.split == "test" for each in found)
    assert all(each.asked.question.question_id in of_test for each in found if each.stop is not STOPS[2])


def test_a_bad_translation_has_a_lower_score_than_the_passage_of_the_answer(found: list[tour.Found]) -> None:
    answer, question = found[0].asked.answers["qtt_rag"], found[0].asked.question
    assert answer.text.casefold() in [gold.casefold() for gold in question.answers]
    cited = [answer.context[number - 1] for number in answer.citations.passages]
    scored = [p for p in answer.context if p.scores and lacks(p, answer.lang) and p not in cited]
    assert cited
    lowest = min(sum(p.scores.values()) for p in scored if p.scores)
    assert all(p.scores is None or sum(p.scores.values()) >= lowest + 3.0 for p in cited)


def test_base_errs_where_the_method_does_not(found: list[tour.Found]) -> None:
    answers, golds = found[1].asked.answers, [gold.casefold() for gold in found[1].asked.question.answers]
    assert answers["base"].text.casefold() not in golds
    assert answers["qtt_rag"].text.casefold() in golds
    assert all(passage.translation is None for passage in answers["base"].context)


def test_a_question_without_evidence_is_answered_so(found: list[tour.Found]) -> None:
    question = found[2].asked.question
    assert question.relation not in question.sheet.facts
    assert found[2].asked.answers["qtt_rag"].abstained


def test_there_is_a_question_in_each_language(found: list[tour.Found]) -> None:
    assert [each.asked.answers["qtt_rag"].lang for each in found[3:]] == ["ko", "fi", "zh"]
    for each in found[3:]:
        assert each.asked.answers["qtt_rag"].text.casefold() in [g.casefold() for g in each.asked.question.answers]
        assert each.asked.question.lang not in each.asked.question.sheet.covered


def test_the_numbers_are_those_of_the_questions(found: list[tour.Found]) -> None:
    asked = list(candidates())
    assert [asked[each.place - 1].question_id for each in found] == [each.asked.question.question_id for each in found]
    assert len({each.place for each in found}) == len(STOPS)


def test_correct_answers_rest_on_relevant_passages(found: list[tour.Found]) -> None:
    for each in (found[0], found[1], *found[3:]):
        answer = each.asked.answers["qtt_rag"]
        cited = [answer.context[number - 1].passage.passage_id.split("#")[0] for number in answer.citations.passages]
        assert set(cited) & set(each.asked.question.gold)


def test_a_translation_lacks_names_and_values_that_are_not_in_it() -> None:
    passage = Passage("en-BO-currency#0", "The currency of Bolivia is the Bolivian boliviano.", Lang("en"))
    bad = TaggedPassage(passage, "볼리비어. 통화는 유로이다.", QualityScores(5.0, 5.0, 5.0))
    assert lacks(bad, "ko")[0] == "볼리비아"
    assert lacks(TaggedPassage(passage), "ko") == []


def test_a_finnish_genitive_is_a_name() -> None:
    passage = Passage("en-BO-overview#0", "Bolivia lies in the Americas.", Lang("en"))
    assert "Bolivia" not in lacks(TaggedPassage(passage, "Bolivian kaksikirjaiminen maatunnus on BO."), "fi")


def run(arguments: list[str], home: Path, folder: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "qttrag", *arguments],
        env={**os.environ, "QTTRAG_HOME": str(home), "PYTHONPATH": str(ROOT)},
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_command_to_go_on_with_runs_from_any_folder(demo_home: Path, tmp_path: Path) -> None:
    for arguments in tour.arguments():
        if arguments[0] == "serve":
            port = str(free_port())
            command = [sys.executable, "-m", "qttrag", *arguments, "--port", port]
            with serving(command, f"http://127.0.0.1:{port}/", tmp_path / "log"):
                continue
        if arguments[:2] == ["eval", "run"]:  # fewer questions, of this home's corpus
            file = f"datasets.demo.file={demo_home}/data/mkqa-test.jsonl.gz"
            arguments = [*arguments[:-1], "1", "--set", file, "--out", str(tmp_path / "run")]
        assert run(arguments, demo_home, ROOT / "docs" / "guides")


def test_the_next_commands_are_lines_for_a_shell() -> None:
    lines = tour.next_lines()
    assert len(lines) == len(tour.NEXT)
    assert all(re.match(r"  \S*qttrag \w+ .*# ", line) for line in lines)
