"""Answers on disk: one JSONL file per cell of the tables, one answer per line, appended and synced one by one.

A line holds everything that is needed to score the answer again. An incomplete last line, left by a kill, is removed
when the file is next opened. If a question was answered twice, the last answer counts."""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from qttrag.errors import InputError
from qttrag.evaluation.answers import AnswerRecord, RankedPassage
from qttrag.types import CriticalError, Lang, Passage, Place, QualityScores, TaggedPassage

T = TypeVar("T")


class Cell(NamedTuple):
    """A cell of the tables: a dataset in one language, a generator, a strategy, by their names in the suite."""

    dataset: str
    generator: str
    strategy: str

    def file(self, folder: Path) -> Path:
        return folder / "answers" / self.dataset / self.generator / f"{self.strategy}.jsonl"


def dumps(answer: AnswerRecord) -> str:
    return json.dumps(asdict(answer), ensure_ascii=False, separators=(",", ":"))


def loads(line: str) -> AnswerRecord:
    """Return the answer in a line.

    Raises:
        ValueError, TypeError, KeyError: the line is not an answer."""
    fields = json.loads(line)
    fields["context"] = tuple(map(_passage, fields["context"]))
    fields["ranking"] = _interned(tuple(RankedPassage(*values) for values in fields["ranking"]))
    fields |= {name: tuple(fields.get(name, ())) for name in ("notes", "missing")}
    return AnswerRecord(**fields)


def _passage(fields: dict[str, Any]) -> TaggedPassage:
    own = fields["passage"]
    passage = _interned(Passage(**{**own, "lang": Lang(own["lang"]), "place": _place(own.get("place"))}))
    scores = QualityScores(**fields["scores"]) if fields["scores"] else None
    typed = {"passage": passage, "translation": _interned(fields["translation"]), "scores": scores}
    errors = tuple(
        CriticalError(error["kind"], tuple(error["original"])) for error in fields.get("critical_errors", ())
    )
    sequences = {name: tuple(fields.get(name, ())) for name in ("flags", "original_names")}
    return TaggedPassage(**{**fields, **typed, **sequences, "critical_errors": errors})


def _place(fields: dict[str, Any] | None) -> Place | None:
    return None if fields is None else Place(**{**fields, "headings": tuple(fields["headings"])})


@functools.lru_cache(maxsize=1 << 17)
def _interned(value: T) -> T:
    """Return the first of equal values, because the passages of one search are in the answers of thirty cells."""
    return value


class AnswerFile:
    """The answers of one cell, open for appending. `done`, `failed`: the ids of the questions in the file;
    `degraded`: those of `done` whose answers lack something because a stage was unavailable.

    `repaired`: whether an incomplete last line was removed."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.repaired = remove_incomplete_line(path)
        last = {a.question_id: (a.failed, a.degraded) for a in read(path)} if path.exists() else {}
        self.done = {question_id for question_id, (failed, _) in last.items() if not failed}
        self.failed = last.keys() - self.done
        self.degraded = {question_id for question_id in self.done if last[question_id][1]}
        self._stream = path.open("ab")

    def append(self, answer: AnswerRecord) -> None:
        """Write an answer; it is on the disk when this returns."""
        self._stream.write(f"{dumps(answer)}\n".encode("utf-8", "replace"))
        self._stream.flush()
        os.fsync(self._stream.fileno())

    def close(self) -> None:
        self._stream.close()


def read(path: Path) -> Iterator[AnswerRecord]:
    """Yield the answers in a file in order, repeated ones included.

    Raises:
        InputError: a line is not an answer."""
    with path.open("rb") as stream:
        for number, line in enumerate(stream, 1):
            if not line.endswith(b"\n"):
                return
            try:
                yield loads(line.decode("utf-8"))
            except (ValueError, TypeError, KeyError) as error:
                raise InputError(
                    f"{path}:{number}: not an answer ({type(error).__name__}: {error}); the file is damaged or was "
                    "edited: delete the line, and run the suite again to answer its question"
                ) from error


def latest(path: Path) -> dict[str, AnswerRecord]:
    """Return the last answer to each question in a file, by id; empty if there is no file."""
    return {answer.question_id: answer for answer in read(path)} if path.exists() else {}


def remove_incomplete_line(path: Path) -> bool:
    """Truncate a file after its last newline; return whether anything was removed."""
    if not path.exists():
        return False
    content = path.read_bytes()
    complete = content.rfind(b"\n") + 1
    if complete == len(content):
        return False
    with path.open("rb+") as stream:
        stream.truncate(complete)
    return True
