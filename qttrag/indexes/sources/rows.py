"""Rows of source files, and the error of an invalid record."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from qttrag.errors import InputError


class BadRecord(InputError):
    """An invalid record. `cause`: a short name, by which skipped records are counted. `reason`: without the way out."""

    def __init__(self, cause: str, reason: str) -> None:
        super().__init__(f"{reason}; correct it, or skip and count such records with --on-error skip")
        self.cause = cause
        self.reason = reason


class SourceRow(NamedTuple):
    """A row of a file. `location`: for messages; `share`: of the file that has been read after it.

    `number`: of its last line, or of the row in a columnar file, from 1: reading resumes after it."""

    location: str
    number: int
    share: float
    cells: Mapping[str, Any] | BadRecord
