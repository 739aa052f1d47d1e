"""Datasets: questions with reference answers, read from the formats of published benchmarks. One file per kind.

An invalid record is an error with its line. A valid record that cannot be asked (an MKQA question without an answer)
is left out and counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import NamedTuple

from qttrag.errors import InputError
from qttrag.evaluation.datasets import trec
from qttrag.evaluation.datasets.files import HubFile, file_in
from qttrag.evaluation.datasets.questions import Question
from qttrag.evaluation.datasets.registry import (
    AnyDataset,
    kinds,
    official_signature,
    parse,
    reference_signature,
    settings_class,
)
from qttrag.evaluation.datasets.settings import DatasetSettings


class Dataset(NamedTuple):
    """The questions of a dataset in one language, in file order; how many records were left out, by cause; notes."""

    questions: list[Question]
    left_out: Counter[str]
    notes: list[str]


def load(name: str, settings: DatasetSettings, lang: str) -> Dataset:
    """Return the questions of a dataset in one language. `name` is used in messages.

    Raises:
        ConfigError: a file is missing and cannot be downloaded.
        InputError: a record is invalid, an id is repeated, or there is no question."""
    left_out: Counter[str] = Counter()
    questions = _unique(name, settings.read(lang, left_out))
    if not questions:
        causes = ", ".join(f"{n} {cause}" for cause, n in left_out.items()) or "the file has none"
        raise InputError(f"dataset '{name}': no question in '{lang}' ({causes}); correct `langs:` or `file:`")
    notes = []
    expected = settings.expected.get(lang)
    if expected not in (None, len(questions)):
        notes.append(f"{name}: {len(questions)} questions, expected {expected}")
    if settings.qrels:
        path = file_in(settings.qrels, lang)
        questions = _with_judgements(questions, trec.read_qrels(path))
        if not any(question.judgements for question in questions):
            raise InputError(f"dataset '{name}': {path} judges none of its questions; correct `qrels:`")
        without = sum(not question.gold for question in questions)
        if without:
            notes.append(f"{name}: {without} of {len(questions)} questions have no relevant passage in {path}")
    return Dataset(questions, left_out, notes)


def _unique(name: str, questions: Iterable[Question]) -> list[Question]:
    by_id: dict[str, Question] = {}
    for question in questions:
        if question.question_id in by_id:
            raise InputError(f"dataset '{name}': the id '{question.question_id}' occurs twice; make ids unique")
        by_id[question.question_id] = question
    return list(by_id.values())


def _with_judgements(questions: Iterable[Question], qrels: Mapping[str, Mapping[str, int]]) -> list[Question]:
    return [_judged(question, qrels.get(question.question_id, {})) for question in questions]


def _judged(question: Question, relevance: Mapping[str, int]) -> Question:
    gold = tuple(passage_id for passage_id, grade in relevance.items() if grade > 0)
    return replace(question, gold=gold, relevance={} if relevance == dict.fromkeys(gold, 1) else relevance)


__all__ = [
    "AnyDataset", "Dataset", "DatasetSettings", "HubFile", "Question", "kinds", "load", "official_signature", "parse",
    "reference_signature", "settings_class",
]  # fmt: skip
