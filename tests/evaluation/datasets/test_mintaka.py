"""Mintaka: the kinds of its answers, and the questions that are left out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from qttrag.errors import InputError
from qttrag.evaluation.datasets import Dataset, load, parse, reference_signature
from tests import shared_data

MINTAKA = shared_data.FOLDER / "data" / "mintaka" / "mintaka_dev_v1.0.jsonl.gz"


def record(number: int, *values: Any, mention: str = "m") -> dict[str, Any]:
    translations = {"de": "Wer?", "ja": "誰？"}
    answer = {"answerType": "entity", "answer": list(values) or None, "mention": mention}
    return {"id": str(number), "question": "Who?", "translations": translations, "answer": answer}


def read(file: Path, lang: str = "de") -> Dataset:
    return load("m", parse({"kind": "mintaka", "file": str(file), "langs": [lang]}), lang)


def write(path: Path, *records: Any) -> Path:
    path.write_text("\n".join(map(json.dumps, records)))
    return path


def test_answers_of_every_kind_are_texts(tmp_path: Path) -> None:
    entity = record(1, {"name": "Q1", "label": "Breaking Dawn"}, mention="Breaking Dawn")
    others = [record(2, True, mention="Yes"), record(3, 4), record(4, "1956-10-20"), record(5, mention="Decrease")]
    questions = read(write(tmp_path / "m.jsonl", entity, *others)).questions
    assert [question.answers for question in questions] == [
        ("Breaking Dawn",), ("yes",), ("4", "m"), ("1956-10-20", "m"), ("Decrease",),
    ]  # fmt: skip
    assert {question.text for question in questions} == {"Wer?"}


def test_a_list_is_no_answer_and_is_counted(tmp_path: Path) -> None:
    dataset = read(write(tmp_path / "m.jsonl", record(1, 1, 2), record(2, 3)))
    assert (len(dataset.questions), dataset.left_out) == (1, {"with several answers": 1})


def test_one_list_of_records_is_read_like_lines(tmp_path: Path) -> None:
    (tmp_path / "m.json").write_text(json.dumps([record(1, 3)]))
    assert len(read(tmp_path / "m.json", "en").questions) == 1


@pytest.mark.parametrize("content", ['{"id": "1"}', "[1]"])
def test_a_document_that_is_no_list_of_records_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "m.json").write_text(content)
    with pytest.raises(InputError, match=r"m\.json: must be a list of objects"):
        read(tmp_path / "m.json")


@pytest.mark.parametrize("change", [{"translations": []}, {"answer": None}, {"translations": {"ja": "?"}}])
def test_a_bad_record_is_refused_with_its_line(tmp_path: Path, change: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=r"m\.jsonl:1: "):
        read(write(tmp_path / "m.jsonl", {**record(1, 3), **change}))


def test_the_signature_states_the_language_of_the_answers() -> None:
    assert reference_signature({"kind": "mintaka", "labels": "en"}) == "format:mintaka|labels:en"


@shared_data.needs(MINTAKA)
@pytest.mark.parametrize("lang", ["en", "de", "fr", "it", "es", "pt", "ar", "hi", "ja"])
def test_mintaka_has_the_expected_number_of_questions_in_every_language(lang: str) -> None:
    dataset = read(MINTAKA, lang)
    assert (len(dataset.questions), dataset.left_out.total()) == (1777, 223)
