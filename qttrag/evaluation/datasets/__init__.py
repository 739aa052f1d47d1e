"""Questions with their gold answers, from the files that benchmarks come in: one reader a format.

What a file holds wrongly is an error with its line. What is rightly there and cannot be asked (a question of MKQA
without an answer) is left out and counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from qttrag.errors import InputError
from qttrag.evaluation.datasets import jsonl, mkqa, squad, trec, xor_tydi
from qttrag.evaluation.datasets.files import HubFile, located
from qttrag.evaluation.datasets.questions import Question
from qttrag.evaluation.datasets.squad import Given


class DatasetFile(BaseModel):
    """What a suite says of a dataset.

    `file`: a path, or a file of a dataset on the hub. `aliases`, `ids`: of MKQA, references beside the first, and a
    file with the ids of the questions to take. `qrels`: a TREC file with the passages that hold the answers.
    `context`: of SQuAD's format, the passages that questions come with; "{lang}" in `file` is a language's code."""

    model_config = ConfigDict(extra="forbid")
    kind: Literal["xor_tydi", "mkqa", "jsonl", "squad"]
    file: str | HubFile
    aliases: bool = False
    ids: str | HubFile | None = None
    qrels: str | None = None
    context: Given = Given()


class DatasetSpec(DatasetFile):
    """The questions of a file in one language. `expected`: how many there ought to be."""

    lang: str
    expected: int | None = Field(default=None, ge=1)


class Dataset(NamedTuple):
    """The questions, in the file's order; how many were left out, by cause; what a reader should know."""

    questions: list[Question]
    left_out: Counter[str]
    notes: list[str]


def load(name: str, spec: DatasetSpec) -> Dataset:
    """Return the questions that `spec` describes.

    Raises:
        ConfigError: a file is not there and cannot be fetched.
        InputError: a line is not as the format has it, an id is there twice, or no question is left."""
    left_out: Counter[str] = Counter()
    questions = _unique(name, _READERS[spec.kind](spec, left_out))
    if not questions:
        causes = ", ".join(f"{n} {cause}" for cause, n in left_out.items()) or "the file has none"
        raise InputError(f"dataset '{name}': no question in '{spec.lang}' ({causes}); correct `lang:` or `file:`")
    notes = []
    if spec.expected not in (None, len(questions)):
        notes.append(f"{name}: {len(questions)} questions, {spec.expected} were expected")
    if spec.qrels:
        questions = _with_gold(questions, trec.read_qrels(spec.qrels))
        without = sum(not question.gold for question in questions)
        if without:
            notes.append(f"{name}: {without} of {len(questions)} questions have no gold passage in {spec.qrels}")
    return Dataset(questions, left_out, notes)


def _unique(name: str, read: Iterable[Question]) -> list[Question]:
    found: dict[str, Question] = {}
    for question in read:
        if question.question_id in found:
            raise InputError(f"dataset '{name}': the id '{question.question_id}' is there twice; make ids unique")
        found[question.question_id] = question
    return list(found.values())


def _with_gold(questions: Iterable[Question], qrels: Mapping[str, Mapping[str, int]]) -> list[Question]:
    return [
        replace(q, gold=tuple(p for p, relevance in qrels.get(q.question_id, {}).items() if relevance > 0))
        for q in questions
    ]


def _read_xor_tydi(spec: DatasetSpec, left_out: Counter[str]) -> Iterator[Question]:
    return xor_tydi.read(located(spec.file), spec.lang, left_out)


def _read_mkqa(spec: DatasetSpec, left_out: Counter[str]) -> Iterator[Question]:
    ids = mkqa.read_ids(located(spec.ids)) if spec.ids else None
    return mkqa.read(located(spec.file), spec.lang, left_out, aliases=spec.aliases, ids=ids)


def _read_jsonl(spec: DatasetSpec, left_out: Counter[str]) -> Iterator[Question]:
    return jsonl.read(located(spec.file), spec.lang, left_out)


def _read_squad(spec: DatasetSpec, left_out: Counter[str]) -> Iterator[Question]:
    files = {code: located(_of_language(spec.file, code)) for code in spec.context.langs(spec.lang)}
    return squad.read(files, spec.lang, spec.context)


def _of_language(file: str | HubFile, lang: str) -> str | HubFile:
    if isinstance(file, HubFile):
        return file.model_copy(update={"file": file.file.replace("{lang}", lang)})
    return file.replace("{lang}", lang)


_READERS: dict[str, Callable[[DatasetSpec, Counter[str]], Iterator[Question]]] = {
    "xor_tydi": _read_xor_tydi,
    "mkqa": _read_mkqa,
    "jsonl": _read_jsonl,
    "squad": _read_squad,
}

__all__ = ["Dataset", "DatasetFile", "DatasetSpec", "HubFile", "Question", "load"]
