"""A run's folder: provenance, questions, answers and searches.

run.json                               suite, provenance, circumstances of each session
questions/ROW.jsonl                    what was asked, and the references
answers/ROW/GENERATOR/STRATEGY.jsonl   see `qttrag.evaluation.runs.records`
search.sqlite                          see `qttrag.evaluation.runs.search_cache`
scores.json, report.html, tables.*     what `qttrag eval score` makes of them"""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from qttrag.errors import InputError
from qttrag.evaluation.datasets.questions import Question
from qttrag.evaluation.runs import provenance
from qttrag.evaluation.runs.records import Cell
from qttrag.evaluation.suites import Headline, Suite
from qttrag.types import Lang, Passage

_FILE = "run.json"


@dataclass(frozen=True)
class Run:
    """A run that was begun. `identity`: its provenance. `sessions`: under what circumstances it went on.

    `told`: what reading its datasets had to say."""

    folder: Path
    identity: Mapping[str, Any]
    sessions: Sequence[Mapping[str, Any]]
    told: Sequence[str]

    @property
    def notes(self) -> list[str]:
        """Return what a reader of its figures should know."""
        changes = (provenance.differences(was, now) for was, now in itertools.pairwise(self.sessions))
        return [*self.told, *(f"while the run went on, these changed: {'; '.join(found)}" for found in changes)]

    @property
    def name(self) -> str:
        return str(self.identity["suite"]["name"])

    @property
    def headline(self) -> Headline:
        return Headline(**self.identity["suite"]["headline"])

    def cells(self) -> list[Cell]:
        """Return the cells that have answers, in the suite's order."""
        suite = self.identity["suite"]
        cells = [
            Cell(row, generator, strategy)
            for row in self.identity["questions"]
            for generator in suite["generators"]
            for strategy in suite["strategies"]
        ]
        return [cell for cell in cells if cell.file(self.folder).exists()]

    def kind(self, row: str) -> str:
        """Return the format that a row's dataset was read from."""
        return str(self._dataset(row)["kind"])

    def references(self, row: str) -> str:
        """Return, for signatures, where a row's references are from: "format:mkqa|aliases:no"."""
        spec = self._dataset(row)
        aliases = f"|aliases:{'yes' if spec.get('aliases') else 'no'}" if spec["kind"] == "mkqa" else ""
        return f"format:{spec['kind']}{aliases}"

    def _dataset(self, row: str) -> Mapping[str, Any]:
        datasets: Mapping[str, Mapping[str, Any]] = self.identity["suite"]["datasets"]
        return datasets[max((name for name in datasets if row.startswith(f"{name} ")), key=len)]

    def questions(self, row: str) -> list[Question]:
        lines = (self.folder / "questions" / f"{row}.jsonl").read_text("utf-8").splitlines()
        return [_question(json.loads(line)) for line in lines]


def open_run(folder: Path) -> Run:
    """Return the run in a folder.

    Raises:
        InputError: there is none, or one of another version's layout."""
    path = folder / _FILE
    try:
        data = json.loads(path.read_text("utf-8"))
        identity = data["identity"]
        if identity["layout"] != provenance.LAYOUT:
            raise InputError(f"{path}: layout {identity['layout']}, this qttrag reads {provenance.LAYOUT}")
        return Run(folder, identity, data["sessions"], data["notes"])
    except FileNotFoundError:
        raise InputError(f"no run in '{folder}': it has no {_FILE}; give the folder of `qttrag eval run`") from None
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: damaged ({type(error).__name__}: {error}); restore it or begin a new run") from error


def begin(folder: Path, suite: Suite, questions: Mapping[str, Sequence[Question]], notes: Sequence[str]) -> Run:
    """Return the run in `folder`, begun now or before; a run that was another's is left as it is.

    Raises:
        InputError: the folder has a run of another suite, version or provenance, or files of something else.
        ConfigError, CollectionError: the deployment is not as it must be, or an index or model is missing."""
    identity = provenance.identity(suite, questions)
    sessions: list[Mapping[str, Any]] = []
    if (folder / _FILE).exists():
        before = open_run(folder)
        if found := provenance.conflicts(before.identity, identity):
            raise InputError(
                f"{folder} has a run with other settings ({'; '.join(found[:3])}{' ...' if len(found) > 3 else ''}); "
                "nothing was changed. Name another folder with --out, or delete this one"
            )
        sessions = list(before.sessions)
    elif folder.exists() and any(path.name != ".lock" for path in folder.iterdir()):
        raise InputError(f"{folder} is not empty and has no {_FILE}; name another folder with --out")
    now = provenance.circumstances()
    if not sessions or sessions[-1] != now:
        sessions.append(now)
    for row, asked in questions.items():
        write_lines(folder / "questions" / f"{row}.jsonl", map(asdict, asked))
    data = {"identity": identity, "sessions": sessions, "notes": list(notes)}
    write_file(folder / _FILE, json.dumps(data, ensure_ascii=False, indent=2))
    return Run(folder, identity, sessions, notes)


def write_file(path: Path, text: str) -> None:
    """Write a file in one step: after a kill it is the old one or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{os.getpid()}.new")
    aside.write_text(text, encoding="utf-8")
    aside.replace(path)


def write_lines(path: Path, values: Iterable[Any]) -> None:
    """Write values as JSON, one a line, in one step."""
    write_file(path, "".join(json.dumps(value, ensure_ascii=False) + "\n" for value in values))


def _question(fields: dict[str, Any]) -> Question:
    return Question(
        fields["question_id"],
        fields["text"],
        Lang(fields["lang"]),
        tuple(fields["answers"]),
        {lang: tuple(texts) for lang, texts in fields["elsewhere"].items()},
        tuple(fields["gold"]),
        tuple(Passage(**{**each, "lang": Lang(each["lang"])}) for each in fields["passages"]),
    )
