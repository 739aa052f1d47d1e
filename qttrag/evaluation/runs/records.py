"""Answers on disk: one JSONL file a cell of the table, one line an answer, appended and synced as each is done.

A line holds all that is needed to score the answer again. A line that a kill cut off is dropped when the file is next
opened; a question answered twice counts as it was last."""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from qttrag.errors import InputError
from qttrag.types import Lang, Passage, QualityScores, TaggedPassage

T = TypeVar("T")


class Cell(NamedTuple):
    """A place in the tables: a row's dataset, a generator, a strategy, by the suite's names."""

    dataset: str
    generator: str
    strategy: str

    def file(self, folder: Path) -> Path:
        return folder / "answers" / self.dataset / self.generator / f"{self.strategy}.jsonl"


class Found(NamedTuple):
    """A passage of the ranking, beyond those that were read too."""

    passage_id: str
    score: float


@dataclass(frozen=True, slots=True)
class Record:
    """What became of one question. `text` is None where it failed, and `error` says why.

    `search`: the key of the search in the run's store, which has the texts of `ranking`."""

    question_id: str
    text: str | None
    context: tuple[TaggedPassage, ...] = ()
    ranking: tuple[Found, ...] = ()
    search: str | None = None
    seconds: Mapping[str, float] = field(default_factory=dict)
    counts: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    error: str | None = None

    @property
    def failed(self) -> bool:
        return self.text is None


def dumps(record: Record) -> str:
    return json.dumps(asdict(record), ensure_ascii=False, separators=(",", ":"))


def loads(line: str) -> Record:
    """Return the record in a line.

    Raises:
        ValueError, TypeError, KeyError: it is none."""
    fields = json.loads(line)
    fields["context"] = tuple(map(_passage, fields["context"]))
    fields["ranking"] = _shared(tuple(Found(*each) for each in fields["ranking"]))
    fields["notes"] = tuple(fields["notes"])
    return Record(**fields)


def _passage(fields: dict[str, Any]) -> TaggedPassage:
    passage = _shared(Passage(**{**fields["passage"], "lang": Lang(fields["passage"]["lang"])}))
    scores = QualityScores(**fields["scores"]) if fields["scores"] else None
    given = {"passage": passage, "translation": _shared(fields["translation"]), "scores": scores}
    return TaggedPassage(**{**fields, **given, "flags": tuple(fields["flags"])})


@functools.lru_cache(maxsize=1 << 17)
def _shared(value: T) -> T:
    """Return an equal value that was here before, for one search is in the answers of thirty cells."""
    return value


class AnswerFile:
    """The answers of one cell, open for appending. `done` and `failed`: ids of the questions that are in it.

    `torn`: whether the last line was cut off by a kill, and dropped."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.torn = _mend(path)
        last = {record.question_id: record.failed for record in read(path)} if path.exists() else {}
        self.done = {question_id for question_id, failed in last.items() if not failed}
        self.failed = last.keys() - self.done
        self._stream = path.open("ab")

    def append(self, record: Record) -> None:
        """Write a record; when this returns, it is on the disk."""
        self._stream.write(f"{dumps(record)}\n".encode("utf-8", "replace"))
        self._stream.flush()
        os.fsync(self._stream.fileno())

    def close(self) -> None:
        self._stream.close()


def read(path: Path) -> Iterator[Record]:
    """Yield the records of a file in order; of a question answered again, the last alone is meant.

    Raises:
        InputError: a line is not a record."""
    with path.open("rb") as stream:
        for number, line in enumerate(stream, 1):
            if not line.endswith(b"\n"):
                return
            try:
                yield loads(line.decode("utf-8"))
            except (ValueError, TypeError, KeyError) as error:
                raise InputError(
                    f"{path}:{number}: not an answer ({type(error).__name__}: {error}); "
                    "it was changed or damaged: take the line out, and run again to have the question answered"
                ) from error


def latest(path: Path) -> dict[str, Record]:
    """Return the records of a file by question, each as it was last; empty where there is no file."""
    return {record.question_id: record for record in read(path)} if path.exists() else {}


def _mend(path: Path) -> bool:
    """Cut off what stands after the last newline; return whether anything did."""
    if not path.exists():
        return False
    content = path.read_bytes()
    whole = content.rfind(b"\n") + 1
    if whole == len(content):
        return False
    with path.open("rb+") as stream:
        stream.truncate(whole)
    return True
