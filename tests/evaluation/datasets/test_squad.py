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
    return {q.question_id: {p.passage_id for p in q.passages or ()} for q in dataset.questions}


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


def test_files_without_common_questions_are_refused(tmp_path: Path) -> None:
    file = write_files(tmp_path)
    (tmp_path / "x.en.json").write_text(json.dumps({"data": []}))
    with pytest.raises(InputError, match=r"x\.en\.json: has no question of .*x\.ko\.json; give files in which"):
        read(file, gold="en")


def test_paragraphs_are_paired_by_the_questions_and_not_by_their_place(tmp_path: Path) -> None:
    file = write_files(tmp_path)
    path = tmp_path / "x.en.json"
    articles = json.loads(path.read_text("utf-8"))["data"]
    path.write_text(json.dumps({"data": [articles[1], {"paragraphs": articles[0]["paragraphs"][:1]}]}), "utf-8")
    dataset = read(file, gold="en", distractors=1, distractors_in="en")
    assert passages(dataset) == {"q0": {"en/1-0", "en/0-0"}, "q2": {"en/0-0", "en/1-0"}}
    assert dataset.left_out == {"not asked in 'en'": 1}


def test_the_gold_passage_may_be_in_several_languages(tmp_path: Path) -> None:
    assert passages(read(write_files(tmp_path), gold=["own", "en", "fi"]))["q1"] == {"ko/0-1", "en/0-1", "fi/0-1"}


def test_one_file_may_have_questions_in_several_languages(tmp_path: Path) -> None:
    write_files(tmp_path, ("ko",))
    path = tmp_path / "x.ko.json"
    path.write_text(path.read_text("utf-8").replace('"q1"', '"finnish-1"').replace('"q2"', '"korean-2"'), "utf-8")
    settings = {"kind": "squad", "file": str(path), "langs": ["ko"], "id_prefix": "{name}-"}
    dataset = load("x", parse(settings), "ko")
    assert [q.question_id for q in dataset.questions] == ["korean-2"]
    assert dataset.left_out == {"in another language": 2}


async def test_without_a_gold_passage_or_distractors_nothing_is_read_or_searched(tmp_path: Path, tiny: Path) -> None:
    rows = {"none": {"kind": "squad", "file": write_files(tmp_path), "langs": ["ko"], "context": {"gold": None}}}
    path = suite.write_suite(
        tmp_path, tiny, datasets=rows, strategies={"base": {}}, headline={"of": "base", "over": "base"}
    )
    outcome = await run(suites.load(str(path)), tmp_path / "out")
    assert (outcome.answered, outcome.failed) == (3, 0)
    records = latest(Cell("none ko", "own", "base").file(tmp_path / "out"))
    assert [record.context for record in records.values()] == [()] * 3


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
    dataset = read(file)
    assert [q.question_id for q in dataset.questions] == ["q1", "q2"]
    assert dataset.left_out == {"without an answer": 1}


def test_a_blank_question_is_left_out_and_counted(tmp_path: Path) -> None:
    path = tmp_path / "x.ko.json"
    file = write_files(tmp_path, ("ko",))
    content = json.loads(path.read_text("utf-8"))
    content["data"][0]["paragraphs"][0]["qas"][0]["question"] = " "
    path.write_text(json.dumps(content), "utf-8")
    dataset = read(file)
    assert [q.question_id for q in dataset.questions] == ["q1", "q2"]
    assert dataset.left_out == {"without a question": 1}


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
    contexts = {name: row.settings.context.model_dump() for name, row in rows.items() if name.endswith(" zh")
                if isinstance(row.settings, SquadDataset)}  # fmt: skip
    assert len(contexts) == 5 + 2 * 2 * 4
    assert contexts["none zh"] == {"gold": None, "distractors": 0, "distractors_in": "own"}
    assert contexts["3-foreign zh"]["gold"] == ["en", "de", "ru"]
    assert contexts["foreign-4-own zh"] == {"gold": "en", "distractors": 4, "distractors_in": "own"}
    assert contexts["own-and-2-foreign zh"] == {"gold": ["own", "en", "de"], "distractors": 0, "distractors_in": "own"}
