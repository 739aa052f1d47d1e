"""Belebele: choices in the question, passages in its language or another."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from qttrag.errors import InputError
from qttrag.evaluation.datasets import Dataset, Question, load, parse
from tests import shared_data

BELEBELE = shared_data.FOLDER / "data" / "belebele" / "aligned_en_ko_fi_zh.jsonl.gz"


def record(number: int = 1, passage: str = "Lue.", **changes: Any) -> dict[str, Any]:
    choices = {f"mc_answer{n}": f"vastaus {n}" for n in range(1, 5)}
    about = {"link": "http://a", "question_number": number, "flores_passage": passage, "question": "Mikä?"}
    return {**about, **choices, "correct_answer_num": "3", **changes}


def write(folder: Path, code: str, *records: Any) -> None:
    (folder / f"{code}.jsonl").write_text("".join(json.dumps(each) + "\n" for each in records), "utf-8")


def read(folder: Path, lang: str = "fi", **more: Any) -> Dataset:
    settings = {"kind": "belebele", "file": str(folder / "{lang}.jsonl"), "langs": [lang], **more}
    return load("b", parse(settings), lang)


def texts(question: Question) -> list[str]:
    return [passage.text for passage in question.passages or ()]


def test_a_question_lists_its_choices_by_letter(tmp_path: Path) -> None:
    write(tmp_path, "fin_Latn", record())
    (question,) = read(tmp_path).questions
    assert question.text == "Mikä?\nA. vastaus 1\nB. vastaus 2\nC. vastaus 3\nD. vastaus 4"
    assert (question.answers, question.choices[2], texts(question)) == (("vastaus 3",), "vastaus 3", ["Lue."])


def test_passages_can_be_in_another_language(tmp_path: Path) -> None:
    write(tmp_path, "fin_Latn", record(1), record(2))
    write(tmp_path, "eng_Latn", record(1, "Read."))
    dataset = read(tmp_path, passages_in="en")
    assert [texts(q) for q in dataset.questions] == [["Read."]]
    assert dataset.left_out == {"without a passage in 'en'": 1}


def test_a_right_answer_that_is_no_number_of_a_choice_is_refused(tmp_path: Path) -> None:
    write(tmp_path, "fin_Latn", record(correct_answer_num="0"))
    with pytest.raises(InputError, match="must be 1 to 4, is '0'"):
        read(tmp_path)


@shared_data.needs(BELEBELE)
def test_the_published_questions_are_read(tmp_path: Path) -> None:
    with gzip.open(BELEBELE, "rt", encoding="utf-8") as lines:
        records = [json.loads(line) for line in lines]
    for code, lang in (("kor_Hang", "ko"), ("eng_Latn", "en")):
        rows = [
            {
                "link": each["url"],
                "question_number": each["n"],
                "flores_passage": each[lang]["passage"],
                "question": each[lang]["question"],
                **{f"mc_answer{n}": text for n, text in enumerate(each[lang]["answers"], 1)},
                "correct_answer_num": str(each[lang]["correct"] + 1),
            }
            for each in records
        ]
        write(tmp_path, code, *rows)
    dataset = read(tmp_path, "ko", passages_in="en")
    assert (len(dataset.questions), dataset.left_out) == (513, {})
    assert texts(dataset.questions[0])[0].startswith("Make sure your hand")
