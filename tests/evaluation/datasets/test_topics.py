"""Topics with judged passages, in the formats of TREC, BEIR, MIRACL and NoMIRACL."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from qttrag.errors import InputError
from qttrag.evaluation.datasets import Dataset, load, parse
from qttrag.types import Lang

TOPICS = "q1\t수도는 어디인가?\nq2\t언제 지어졌는가?\nq3\t누가?\n"


def read(topics: Path, **more: Any) -> Dataset:
    return load("t", parse({"kind": "topics", "topics": str(topics), "langs": ["ko"], **more}), "ko")


def write(path: Path, *records: Any) -> str:
    path.write_text("".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records), "utf-8")
    return str(path)


@pytest.fixture
def topics(tmp_path: Path) -> Path:
    path = tmp_path / "topics.tsv"
    path.write_text(TOPICS, "utf-8")
    return path


@pytest.fixture
def qrels(tmp_path: Path) -> str:
    path = tmp_path / "dev.qrels"
    path.write_text("q1 0 d#0 1\nq1 0 d#1 0\nq2 0 e#0 0\n")
    return str(path)


def test_topics_without_qrels_are_questions_without_references(topics: Path) -> None:
    first, *others = read(topics).questions
    assert (first.question_id, first.text, first.answers, first.answerable) == ("q1", "수도는 어디인가?", (), None)
    assert len(others) == 2


def test_topics_that_are_not_judged_are_left_out_and_counted(topics: Path, qrels: str) -> None:
    dataset = read(topics, qrels=qrels)
    assert [q.gold for q in dataset.questions] == [("d#0",), ()]
    assert dataset.left_out == {"without judged passages": 1}


def test_with_a_corpus_the_judged_passages_are_read_and_say_whether_there_is_an_answer(
    topics: Path, qrels: str, tmp_path: Path
) -> None:
    passages = [{"docid": i, "title": "제목", "text": i} for i in ("x", "e#0", "d#1", "d#0")]
    first, second = read(topics, qrels=qrels, corpus=write(tmp_path / "corpus.jsonl", *passages)).questions
    assert [passage.passage_id for passage in first.passages or ()] == ["d#0", "d#1"]
    assert (first.answerable, second.answerable) == (True, False)
    assert {passage.lang for passage in first.passages or ()} == {Lang("ko")}


def test_a_corpus_without_a_judged_passage_is_refused(topics: Path, qrels: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"topics\.tsv:1: `corpus:` lacks the judged passage 'd#0'"):
        read(topics, qrels=qrels, corpus=write(tmp_path / "c.jsonl", {"_id": "d#1", "text": "x"}))


def test_a_corpus_needs_qrels(topics: Path) -> None:
    with pytest.raises(ValidationError, match="`corpus:` needs `qrels:`"):
        read(topics, corpus="c.jsonl")


def test_a_folder_in_the_format_of_beir_is_read(tmp_path: Path) -> None:
    queries = write(tmp_path / "queries.jsonl", {"_id": "1", "text": "A?", "metadata": {}}, {"_id": "2", "text": "B?"})
    (tmp_path / "test.tsv").write_text("query-id\tcorpus-id\tscore\n1\td7\t2\n1\td8\t1\n")
    dataset = read(Path(queries), qrels=str(tmp_path / "test.tsv"))
    assert [dict(q.judgements) for q in dataset.questions] == [{"d7": 2, "d8": 1}]


def test_beirs_qrels_have_three_columns_in_every_line(tmp_path: Path, topics: Path) -> None:
    (tmp_path / "test.tsv").write_text("query-id\tcorpus-id\tscore\nq1\t0\td7\t2\n")
    with pytest.raises(InputError, match=r"test\.tsv:2: 4 columns; these qrels have query, passage, relevance"):
        read(topics, qrels=str(tmp_path / "test.tsv"))


def test_a_line_without_an_id_is_refused(tmp_path: Path) -> None:
    (tmp_path / "t.tsv").write_text("수도는 어디인가?\n", "utf-8")
    with pytest.raises(InputError, match=r"t\.tsv:1: '수도는 어디인가\?' is not id<TAB>text"):
        read(tmp_path / "t.tsv")


def test_topics_of_trec_are_read_with_and_without_end_tags(tmp_path: Path) -> None:
    path = tmp_path / "topics.txt"
    path.write_text(
        "<top>\n<num> Number: 301\n<title> International\n organized crime\n\n<desc> Description:\nIdentify\n</top>\n"
        "<top><num>C302</num><title>Rhine &amp; Danube</title><desc>...</desc></top>\n"
    )
    topics = [(q.question_id, q.text) for q in read(path).questions]
    assert topics == [("301", "International organized crime"), ("C302", "Rhine & Danube")]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [("<topics/>\n", "has no <top> element"), ("<top><num>1</num></top>", "topic 1: has no <num>")],
)
def test_topics_of_another_form_are_refused(tmp_path: Path, text: str, complaint: str) -> None:
    (tmp_path / "t.xml").write_text(text)
    with pytest.raises(InputError, match=complaint):
        read(tmp_path / "t.xml")


def test_a_corpus_may_be_tsv_in_another_language(topics: Path, qrels: str, tmp_path: Path) -> None:
    (tmp_path / "korean.tsv").write_text("d#0\tOne.\nd#1\tTwo.\ne#0\tThree.\n")
    first, _ = read(topics, qrels=qrels, corpus=str(tmp_path / "{name}.tsv"), corpus_in="en").questions
    assert [(p.text, p.lang) for p in first.passages or ()] == [("One.", "en"), ("Two.", "en")]
