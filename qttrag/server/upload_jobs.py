"""Uploads in progress: what clients are told about each, and the change of the collection behind it."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from qttrag.indexes.jobs.document_reading import DocumentOutcome, NewDocument
from qttrag.indexes.jobs.index_job import Progress

State = Literal["waiting", "reading", "encoding", "done", "failed"]


@dataclass
class FileState:
    """A file of an upload. `state`: "indexed" from the moment its passages can be found."""

    name: str
    state: Literal["waiting", "indexed", "unchanged", "failed"] = "waiting"
    passages: int = 0
    error: dict[str, str] | None = None

    def fail(self, code: str, message: str) -> None:
        self.state, self.passages, self.error = "failed", 0, {"code": code, "message": message}


@dataclass
class UploadJob:
    """An upload to a collection. `folder`: with its files, deleted at its end. Changed by one thread at a time.

    `done`, `total`: files while it is read, then passages while it is encoded."""

    collection: str
    folder: Path
    documents: Sequence[NewDocument]
    job_id: str = field(default_factory=lambda: secrets.token_hex(8))
    state: State = "waiting"
    done: int = 0
    total: int = 0
    files: dict[str, FileState] = field(default_factory=dict)
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    _loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.get_running_loop)

    def __post_init__(self) -> None:
        self.files = {document.name: FileState(document.name) for document in self.documents}
        self.total = len(self.files)

    @property
    def is_over(self) -> bool:
        return self.state in ("done", "failed")

    def as_dict(self) -> dict[str, Any]:
        return {
            "job": self.job_id,
            "state": self.state,
            "done": self.done,
            "total": self.total,
            "files": [
                {"name": file.name, "state": file.state, "passages": file.passages, "error": file.error}
                for file in list(self.files.values())
            ],
        }

    def enter(self, state: State, total: int = 0) -> None:
        """Begin the next part of the work."""
        self.state, self.done, self.total = state, 0, total
        self._notify()

    def read(self, outcome: DocumentOutcome) -> None:
        """Record that a file was read. Unless it failed it stays "waiting": its passages cannot be found yet."""
        file = self.files[outcome.name]
        if outcome.code is not None:
            file.fail(outcome.code, outcome.message or outcome.code)
        else:
            file.passages = outcome.passages
        self.done += 1
        passages = sum(each.passages for each in self.files.values() if each.state == "waiting")
        if self.done == self.total and passages:
            self.enter("encoding", passages)
        self._notify()

    def encoded(self, progress: Progress) -> None:
        if progress.step == "encode":
            self.done = progress.passages
            self._notify()

    def finish(self) -> None:
        """Record that the new version of the collection is searched."""
        for file in self.files.values():
            file.state = "indexed" if file.state == "waiting" else file.state
        self.state, self.done = "done", self.total
        self._notify()

    def fail(self, code: str, message: str) -> None:
        """Record that nothing of the upload was indexed."""
        for file in self.files.values():
            if file.state == "waiting":
                file.fail(code, message)
        self.state = "failed"
        self._notify()

    def _notify(self) -> None:
        self._loop.call_soon_threadsafe(self.changed.set)
