"""SQuAD's format: the gold passage in one language or another, among distractors."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from qttrag.errors import ConfigError, InputError
from qttrag.evaluation import suites
from qttrag.evaluation.datasets import Dataset, load, parse
from qttrag.evaluation.datasets.squad import SquadDataset
from qttrag.evaluation.runs.answer_files import Cell, latest
from qttrag.evaluation.runs.runner import run
from tests import suite
from tests.texts import Fact

PLACES = [Fact(city, year, sentence) for city, (year, sentence) in enumerate([("1848", 0), ("1903", 1), ("1917", 2)])]


def write_files(folder: Path, langs: tuple[str, ...] = ("en", "ko", "fi")) -> str:
    """Write two articles of two and one paragraphs, with one question each, in every language."""
    for lang in langs:
        paragraphs: list[dict[str, Any]] = [
            {
                "context": fact.say(lang),
                "qas": [{"id": f"q{n}", "question": fact.say(lang)[:9], "answers": [{"text": fact.year}] * 2}],
            }
            for n, fact in enumerate(PLACES)
        ]
        data = [{"title": "A", "paragraphs": paragraphs[:2]}, {"title": "B", "paragraphs": paragraphs[2:]}]
        (folder / f"x.{lang}.json").write_text(json.dumps({"data": data}), encoding="utf-8")
    return str(folder / "x.{lang}.json")


def read(file: str, lang: str = "ko", **context: Any) -> Dataset:
    return load("x", parse({"kind": "squad", "file": file, "langs": [lang], "context": context}), lang)


def passages(dataset: Dataset) -> dict[str, set[str]]:
    return {q.question_id: {p.passage_id for p in q.passages} for q in dataset.questions}


def test_the_gold_passage_is_in_the_chosen_language(tmp_path: Path) -> None:
    file = write_files(tmp_path)
    assert passages(read(file)) == {"q0": {"ko/0-0"}, "q1": {"ko/0-1"}, "q2": {"ko/1-0"}}
    assert passages(read(file, gold="en"))["q1"] == {"en/0-1"}
    assert passages(read(file, gold=None))["q1"] == set()


def test_distractors_are_of_the_same_article_first_and_of_the_chosen_language(tmp_path: Path) -> None:
    file = write_files(tmp_path)
    assert passages(read(file, gold="en", distractors=1))["q0"] == {"en/0-0", "ko/0-1"}
    assert passages(read(file, distractors=1, distractors_in="fi"))["q2"] <= {"ko/1-0", "fi/0-0", "fi/0-1"}
    assert passages(read(file, distractors=9))["q0"] == {"ko/0-0", "ko/0-1", "ko/1-0"}


def test_a_passage_with_the_answer_is_not_a_distractor(tmp_path: Path) -> None:
    file = write_files(tmp_path)
    path = tmp_path / "x.ko.json"
    path.write_text(path.read_text("utf-8").replace("1903", "1848"), "utf-8")
    assert passages(read(file, distractors=9))["q0"] == {"ko/0-0", "ko/1-0"}


def test_answers_in_the_other_languages_are_known(tmp_path: Path) -> None:
    (question, *_) = read(write_files(tmp_path), gold="en").questions
    assert question.answers == ("1848",)
    assert question.elsewhere == {"en": ("1848",)}


def test_files_that_are_not_parallel_are_refused(tmp_path: Path) -> None:
    file = write_files(tmp_path)
    (tmp_path / "x.en.json").write_text(json.dumps({"data": []}))
    with pytest.raises(InputError, match="give parallel files"):
        read(file, gold="en")


@pytest.mark.parametrize(
    ("content", "place"),
    [
        ('{\n\n"data": ]', r"x\.ko\.json: not JSON .*line 3"),
        ("[]", "the document"),
        ('{"data": [{"paragraphs": [{"qas": []}]}]}', r"data\.0\.paragraphs\.0\.context`: field required"),
        ('{"data": [{"paragraphs": [{"context": "\\ud83d", "qas": []}]}]}', r"'\\ud83d' is half of a character"),
    ],
)
def test_a_file_of_another_format_is_refused_with_the_place(tmp_path: Path, content: str, place: str) -> None:
    (tmp_path / "x.ko.json").write_text(content)
    with pytest.raises(InputError, match=place):
        read(str(tmp_path / "x.{lang}.json"))


def test_a_file_with_a_byte_order_mark_and_a_compressed_one_are_read(tmp_path: Path) -> None:
    file = write_files(tmp_path)
    plain = (tmp_path / "x.ko.json").read_bytes()
    (tmp_path / "x.ko.json").write_bytes(b"\xef\xbb\xbf" + plain)
    (tmp_path / "x.ko.json.gz").write_bytes(gzip.compress(b"\xef\xbb\xbf" + plain))
    assert len(read(file).questions) == len(read(f"{file}.gz").questions) == 3


def test_a_blank_answer_is_no_reference(tmp_path: Path) -> None:
    file = write_files(tmp_path)
    path = tmp_path / "x.ko.json"
    path.write_text(path.read_text("utf-8").replace('"1848"', '" "'), "utf-8")
    assert [q.question_id for q in read(file).questions] == ["q1", "q2"]


def test_a_missing_language_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"x\.en\.json"):
        read(write_files(tmp_path, ("ko",)), gold="en")


async def test_strategies_read_the_passages_of_the_questions_and_no_index_is_needed(tmp_path: Path, tiny: Path) -> None:
    rows = {
        "own": {"kind": "squad", "file": write_files(tmp_path), "langs": ["ko"]},
        "foreign": {"kind": "squad", "file": "./x.{lang}.json", "langs": ["ko"], "context": {"gold": "en"}},
    }
    path = suite.write_suite(tmp_path, tiny, datasets=rows)
    outcome = await run(suites.load(str(path)), tmp_path / "out")
    assert (outcome.answered, outcome.failed) == (2 * 3 * len(suite.STRATEGIES), 0)
    for row, lang in (("own ko", "ko"), ("foreign ko", "en")):
        records = latest(Cell(row, "own", "cross_rag").file(tmp_path / "out"))
        assert {p.passage.lang for record in records.values() for p in record.context} == {lang}
        assert {len(record.context) for record in records.values()} == {1}


def test_the_context_suite_can_be_read() -> None:
    rows = suites.load("context-consistency").rows()
    settings = rows["foreign-own zh"].settings
    assert isinstance(settings, SquadDataset)
    assert settings.context.model_dump() == {"gold": "en", "distractors": 4, "distractors_in": "own"}
