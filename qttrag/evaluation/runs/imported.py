"""Predictions of another system as a run, so that they are scored, reported, compared and exported like our own."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import qttrag
from qttrag.errors import InputError
from qttrag.evaluation import datasets
from qttrag.evaluation.answers import AnswerRecord
from qttrag.evaluation.datasets import DatasetSettings
from qttrag.evaluation.runs import answer_files, provenance
from qttrag.evaluation.runs.answer_files import Cell
from qttrag.evaluation.runs.folder import FILE, Run, open_run, write_file, write_lines

_DATASET = "predictions"
_MISSING = "no prediction in the file"


def import_predictions(
    folder: Path, name: str, answers: Sequence[AnswerRecord], settings: DatasetSettings, lang: str, measure: str
) -> Run:
    """Return a new run in `folder` with the answers of the system `name` to the questions of a dataset.

    A question without a prediction counts as failed; a prediction for no question of the dataset is noted.

    Raises:
        InputError: no prediction is for a question of the dataset, or the folder has other files."""
    row = f"{_DATASET} {lang}"
    dataset = datasets.load(_DATASET, settings, lang)
    by_id = {answer.question_id: answer for answer in answers}
    ids = [question.question_id for question in dataset.questions]
    if not by_id.keys() & set(ids):
        raise InputError(
            f"none of the predictions, e.g. '{min(by_id)}', is for a question of the dataset, e.g. '{ids[0]}'"
        )
    others = len(by_id.keys() - set(ids))
    notes = [
        *dataset.notes,
        *([f"{others} predictions are for no question of the dataset in '{lang}'"] if others else []),
    ]
    suite = {
        "name": name,
        "headline": {"measure": measure, "of": name, "over": name},
        "datasets": {_DATASET: settings.model_dump(mode="json")},
        "generators": {"own": {}},
        "strategies": {name: {}},
    }
    records = [by_id.get(question_id) or AnswerRecord(question_id, None, error=_MISSING) for question_id in ids]
    lines = [answer_files.dumps(record) for record in records]
    identity = {
        "layout": provenance.LAYOUT,
        "qttrag": qttrag.__version__,
        "suite": suite,
        "deployments": {},
        "questions": {row: provenance.digest(map(asdict, dataset.questions))},
        "predictions": provenance.digest(lines),
    }
    if ((folder / FILE).exists() and open_run(folder).identity != identity) or (
        folder.exists() and any(folder.iterdir()) and not (folder / FILE).exists()
    ):
        raise InputError(f"{folder} has other predictions or files; name another folder with --out")
    write_lines(folder / "questions" / f"{row}.jsonl", map(asdict, dataset.questions))
    write_file(Cell(row, "own", name).file(folder), "".join(f"{line}\n" for line in lines))
    write_file(folder / FILE, json.dumps({"identity": identity, "sessions": [], "notes": notes}, ensure_ascii=False))
    return open_run(folder)
