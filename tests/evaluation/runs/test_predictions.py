"""Predictions of other systems: read in their formats, scored as runs, written back."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from qttrag.errors import InputError
from qttrag.evaluation.answers import AnswerRecord
from qttrag.evaluation.datasets import predictions
from qttrag.evaluation.datasets.trec import read_run
from qttrag.types import Lang, Passage, TaggedPassage
from tests import shared_data
from tests.evaluation.report.test_report import write_run

DATASET = "{{kind: jsonl, file: {}}}"


def write_questions(path: Path, n: int = 3) -> Path:
    rows = [{"id": str(i), "question": "수도는?", "answers": ["서울특별시"], "lang": "ko"} for i in range(n)]
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")
    return path


def texts(path: Path) -> dict[str, str | None]:
    return {answer.question_id: answer.text for answer in predictions.read(str(path))}


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("xor.json", {"1": "서울", "2": ""}),
        ("mkqa.jsonl", [{"example_id": 1, "prediction": "서울"}, {"example_id": 2, "prediction": None}]),
        ("bergen.json", [{"q_id": "1", "response": "서울"}, {"q_id": "2", "response": ""}]),
        ("rag.jsonl", [{"id": "1", "answer": "서울", "passages": ["x"]}, {"id": "2", "answer": ""}]),
        ("lm_eval.jsonl", [
            {"doc_id": 7, "doc": {"id": "1"}, "resps": [["Seoul 서울"]], "filtered_resps": ["서울"]},
            {"doc_id": 2, "doc": {"question": "?"}, "resps": [[""]], "filtered_resps": [""]},
        ]),
    ],
)  # fmt: skip
def test_the_answers_of_other_systems_are_read(tmp_path: Path, name: str, content: Any) -> None:
    lines = name.endswith(".jsonl")
    text = "\n".join(map(json.dumps, content)) if lines else json.dumps(content)
    (tmp_path / name).write_text(text)
    assert texts(tmp_path / name) == {"1": "서울", "2": ""}


def test_answers_in_parquet_are_those_that_were_written(tmp_path: Path) -> None:
    passage = TaggedPassage(Passage("p", "The bridge.", Lang("en"), "Bridges"), "다리", refined="그 다리")
    answers = [AnswerRecord("1", "서울", (passage,), abstained=False), AnswerRecord("2", "")]
    predictions.write(tmp_path / "p.parquet", [*answers, AnswerRecord("3", None, error="x")], "parquet")
    assert predictions.read(str(tmp_path / "p.parquet")) == answers


def test_whether_an_answer_abstains_is_read_and_written(tmp_path: Path) -> None:
    (tmp_path / "p.jsonl").write_text('{"id": "1", "answer": "no", "abstained": true}')
    answers = predictions.read(str(tmp_path / "p.jsonl"))
    predictions.write(tmp_path / "again.jsonl", answers, "jsonl")
    assert [a.abstained for a in predictions.read(str(tmp_path / "again.jsonl"))] == [True]


def test_a_binary_answer_of_mkqa_takes_precedence(tmp_path: Path) -> None:
    (tmp_path / "p.jsonl").write_text('{"example_id": 1, "prediction": "Seoul", "binary_answer": "yes"}')
    assert texts(tmp_path / "p.jsonl") == {"1": "yes"}


def test_passages_keep_their_languages(tmp_path: Path) -> None:
    passage = {"id": "p", "text": "The bridge.", "lang": "en", "translation": "다리"}
    (tmp_path / "p.jsonl").write_text(json.dumps({"id": "1", "answer": "x", "passages": [passage]}))
    (answer,) = predictions.read(str(tmp_path / "p.jsonl"))
    assert (answer.context[0].passage.lang, answer.context[0].reading_text) == (Lang("en"), "다리")


@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        ("p.jsonl", '{"id": "1"}', "p.jsonl:1: no answer"),
        ("p.jsonl", '{"id": "1", "answer": 7}', "p.jsonl:1: the answer must be a text"),
        ("p.jsonl", '{"answer": "x"}', "p.jsonl:1: `id` must be a text"),
        ("p.jsonl", '{"id": "1", "answer": "x"}\n{"id": 1, "answer": "y"}', "p.jsonl:2: the id '1' has an answer"),
        ("p.jsonl", '{"id": "1", "answer": "x", "abstained": 1}', "`abstained` must be true, false or null"),
        ("p.jsonl", '{"doc_id": 1, "filtered_resps": []}', "`filtered_resps` must be a list with the response"),
        ("p.parquet", "x", "not a Parquet file"),
        ("p.json", '"x"', "must be an object"),
        ("p.json", "{}", "has no answers"),
    ],
)  # fmt: skip
def test_predictions_that_are_wrong_are_refused_with_their_place(
    tmp_path: Path, name: str, content: str, complaint: str
) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(InputError) as refused:
        predictions.read(str(tmp_path / name))
    assert complaint in str(refused.value)


def test_predictions_are_scored_like_a_run_and_missing_ones_are_counted(run: Any, tmp_path: Path) -> None:
    file = write_questions(tmp_path / "q.jsonl")
    (tmp_path / "theirs.json").write_text(json.dumps({"0": "서울특별시", "1": "부산", "x": "?"}))
    words = ["score", "--predictions", tmp_path / "theirs.json", "--dataset", DATASET.format(file), "--lang", "ko"]
    code, out, _ = run(*words, "--out", tmp_path / "out", "--json")
    assert code == 0
    (cell,) = out["cells"]
    assert (cell["answered"], cell["failed"], cell["strategy"]) == (2, 1, "theirs")
    assert cell["figures"]["em_fair"]["value"] == 0.5
    assert cell["figures"]["em_fair"]["as_zero"]["value"] == pytest.approx(1 / 3)
    assert out["notes"] == ["1 predictions are for no question of the dataset in 'ko'"]
    assert run("compare", tmp_path / "out", tmp_path / "out")[0] == 0


def test_predictions_for_other_questions_are_refused(run: Any, tmp_path: Path) -> None:
    file = write_questions(tmp_path / "q.jsonl")
    (tmp_path / "theirs.json").write_text('{"x": "?"}')
    words = ["score", "--predictions", tmp_path / "theirs.json", "--dataset", DATASET.format(file), "--lang", "ko"]
    code, _, err = run(*words)
    assert (code, "none of the predictions, e.g. 'x'" in err) == (2, True)
    assert "needs --dataset and --lang" in run("score", "--predictions", tmp_path / "theirs.json")[2]
    assert "unknown dataset kind 'jsnl'" in run(*words[:4], "{kind: jsnl}", "--lang", "ko")[2]


@pytest.mark.parametrize(("form", "suffix"), [("xor_tydi", "json"), ("mkqa", "jsonl"), ("jsonl", "jsonl")])
def test_answers_exported_and_imported_have_equal_scores(run: Any, tmp_path: Path, form: str, suffix: str) -> None:
    ours = write_run(tmp_path / "run", {"qtt_rag": ["서울특별시", "부산", None]})
    assert run("export", ours.folder, "--to", form, "--out", tmp_path / "files")[0] == 0
    file = tmp_path / "files" / f"made-ko.own.qtt_rag.{suffix}"
    questions = write_questions(tmp_path / "q.jsonl")
    _, before, _ = run("score", ours.folder, "--json")
    words = ["score", "--predictions", file, "--dataset", DATASET.format(questions), "--lang", "ko"]
    _, after, _ = run(*words, "--out", tmp_path / "out", "--json")
    names = ["char3_bergen", "char3_fair", "em_fair", "chrf"] + ["r_lang", "answer_recall@5"] * (form == "jsonl")
    (one,), (other,) = before["cells"], after["cells"]
    for name in names:
        figures = ({**cell["figures"][name], "signature": ""} for cell in (one, other))
        assert next(figures) == next(figures)
    assert after["cells"][0]["failed"] == 1


def test_rankings_are_exported_as_trec_runs(run: Any, tmp_path: Path) -> None:
    ours = write_run(tmp_path / "run", {"base": ["서울"]})
    assert run("export", ours.folder, "--to", "trec", "--out", tmp_path / "runs")[0] == 0
    assert read_run(tmp_path / "runs" / "made-ko.own.base.trec").rankings == {}
    assert "unknown format 'tec'" in run("export", ours.folder, "--to", "tec", "--out", tmp_path)[2]


@shared_data.needs(shared_data.XOR_TYDI)
@shared_data.needs(shared_data.PREDICTIONS)
def test_predictions_on_xor_tydi_have_the_official_scores_of_its_script(run: Any, tmp_path: Path) -> None:
    with gzip.open(shared_data.PREDICTIONS, "rt", encoding="utf-8") as file:
        rows = [row for row in map(json.loads, file) if row["suite"] == "xor-tydi" and row["lang"] == "ko"]
    (tmp_path / "theirs.json").write_text(json.dumps({row["id"]: row["prediction"] for row in rows}))
    dataset = f"{{kind: xor_tydi, file: {shared_data.XOR_TYDI}}}"
    words = ["score", "--predictions", tmp_path / "theirs.json", "--dataset", dataset, "--lang", "ko"]
    _, out, _ = run(*words, "--out", tmp_path / "out", "--json")
    figures = out["cells"][0]["figures"]
    with gzip.open(shared_data.XOR_TYDI, "rt", encoding="utf-8") as file:
        asked = {question["id"] for question in map(json.loads, file)}
    for name in ("f1", "em"):
        total = sum(row["official"][name] for row in rows if row["id"] in asked)
        figure = figures[f"{name}_official"]
        assert figure["value"] == pytest.approx(total / figure["n"], abs=1e-9)
        assert figure["as_zero"]["value"] == pytest.approx(total / 371, abs=1e-9)  # as the script counts missing ones
