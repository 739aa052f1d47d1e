"""The folder of a run: provenance, questions, answers and searches.

run.json                               suite, provenance, environment of each session
questions/ROW.jsonl                    the questions and their references
answers/ROW/GENERATOR/STRATEGY.jsonl   see `qttrag.evaluation.runs.answer_files`
search.sqlite                          see `qttrag.evaluation.runs.search_cache`
scores.json, report.html, tables.*     written by `qttrag eval score`"""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

from qttrag.errors import InputError
from qttrag.evaluation import datasets
from qttrag.evaluation.datasets.questions import Question
from qttrag.evaluation.metrics.registry import RENAMED
from qttrag.evaluation.runs import provenance
from qttrag.evaluation.runs.answer_files import Cell
from qttrag.evaluation.suites import Headline, Suite
from qttrag.types import Lang, Passage

FILE = "run.json"


class References(NamedTuple):
    """The sources of references as signatures state them: "format:mkqa|aliases:no", and those of official measures."""

    given: str
    official: str


@dataclass(frozen=True)
class Run:
    """A run of a suite, complete or not. `identity`: its provenance. `sessions`: the environment of each session.

    `dataset_notes`: the notes of the datasets when they were read."""

    folder: Path
    identity: Mapping[str, Any]
    sessions: Sequence[Mapping[str, Any]]
    dataset_notes: Sequence[str]

    @property
    def notes(self) -> list[str]:
        """Return what a reader of the figures should know."""
        changes = (provenance.differences(old, new) for old, new in itertools.pairwise(self.sessions))
        return [*self.dataset_notes, *(f"changed between sessions of the run: {'; '.join(some)}" for some in changes)]

    @property
    def name(self) -> str:
        return str(self.identity["suite"]["name"])

    @property
    def headline(self) -> Headline:
        headline = Headline(**self.identity["suite"]["headline"])
        return headline.model_copy(update={"measure": RENAMED.get(headline.measure, headline.measure)})

    def cells(self) -> list[Cell]:
        """Return the cells that have answers, in the order of the suite."""
        suite = self.identity["suite"]
        cells = [
            Cell(row, generator, strategy)
            for row in self.identity["questions"]
            for generator in suite["generators"]
            for strategy in suite["strategies"]
        ]
        return [cell for cell in cells if cell.file(self.folder).exists()]

    def kind(self, row: str) -> str:
        """Return the kind of a row's dataset."""
        return str(self._dataset(row)["kind"])

    def references(self, row: str) -> References:
        """Return the sources of a row's references, for signatures."""
        settings = self._dataset(row)
        return References(datasets.reference_signature(settings), datasets.official_signature(settings))

    def _dataset(self, row: str) -> Mapping[str, Any]:
        by_name: Mapping[str, Mapping[str, Any]] = self.identity["suite"]["datasets"]
        return by_name[max((name for name in by_name if row.startswith(f"{name} ")), key=len)]

    def questions(self, row: str) -> list[Question]:
        lines = (self.folder / "questions" / f"{row}.jsonl").read_text("utf-8").splitlines()
        return [_question(json.loads(line)) for line in lines]


def open_run(folder: Path) -> Run:
    """Return the run in a folder.

    Raises:
        InputError: there is no run, it is damaged, or it has the layout of another version."""
    path = folder / FILE
    try:
        data = json.loads(path.read_text("utf-8"))
        identity = data["identity"]
        if identity["layout"] != provenance.LAYOUT:
            raise InputError(f"{path}: layout {identity['layout']}; this version of qttrag reads {provenance.LAYOUT}")
        return Run(folder, identity, data["sessions"], data["notes"])
    except FileNotFoundError:
        raise InputError(f"no run in '{folder}': it has no {FILE}; give the folder of `qttrag eval run`") from None
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: damaged ({type(error).__name__}: {error}); restore it or start a new run") from error


def start_or_resume(
    folder: Path, suite: Suite, questions: Mapping[str, Sequence[Question]], notes: Sequence[str]
) -> Run:
    """Return the run in `folder`, new or resumed; a run with another provenance is left unchanged.

    Raises:
        InputError: the folder has a run of another suite, version or provenance, or other files.
        ConfigError, CollectionError: the deployment is invalid, or an index or model is missing."""
    identity = provenance.identity(suite, questions)
    sessions: list[Mapping[str, Any]] = []
    if (folder / FILE).exists():
        old = open_run(folder)
        if conflicts := provenance.conflicts(old.identity, identity):
            more = " ..." if len(conflicts) > 3 else ""
            raise InputError(
                f"{folder} has a run with other settings ({'; '.join(conflicts[:3])}{more}); "
                "nothing was changed. Name another folder with --out, or delete this one"
            )
        sessions = list(old.sessions)
    elif folder.exists() and any(path.name != ".lock" for path in folder.iterdir()):
        raise InputError(f"{folder} is not empty and has no {FILE}; name another folder with --out")
    environment = provenance.environment()
    if not sessions or sessions[-1] != environment:
        sessions.append(environment)
    for row, row_questions in questions.items():
        write_lines(folder / "questions" / f"{row}.jsonl", map(asdict, row_questions))
    data = {"identity": identity, "sessions": sessions, "notes": list(notes)}
    write_file(folder / FILE, json.dumps(data, ensure_ascii=False, indent=2))
    return Run(folder, identity, sessions, notes)


def write_file(path: Path, text: str) -> None:
    """Write a file atomically: after a kill it has its old or its new content."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.new")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)


def write_lines(path: Path, values: Iterable[Any]) -> None:
    """Write values as JSON, one per line, atomically."""
    write_file(path, "".join(json.dumps(value, ensure_ascii=False) + "\n" for value in values))


def _question(fields: dict[str, Any]) -> Question:
    return Question(
        fields["question_id"],
        fields["text"],
        Lang(fields["lang"]),
        tuple(fields["answers"]),
        {lang: tuple(texts) for lang, texts in fields["elsewhere"].items()},
        tuple(fields["gold"]),
        _passages(fields["passages"]),
        official_answers=tuple(official) if (official := fields.get("official_answers")) is not None else None,
        relevance=fields.get("relevance", {}),
        answerable=fields.get("answerable"),
        choices=tuple(fields.get("choices", ())),
        nuggets=tuple(map(tuple, fields.get("nuggets", ()))),
    )


def _passages(passages: list[dict[str, Any]] | None) -> tuple[Passage, ...] | None:
    if passages is None:
        return None
    return tuple(Passage(**{**passage, "lang": Lang(passage["lang"])}) for passage in passages)
