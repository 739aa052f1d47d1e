"""Reads the records of a source from any position on; stops at an invalid record, or skips and counts it."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from qttrag.errors import InputError
from qttrag.indexes.recipe import Recipe
from qttrag.indexes.sources import cleaning, formats, listing
from qttrag.indexes.sources.characters import is_valid_id, repair, trim
from qttrag.indexes.sources.id_sets import IdSet, digest
from qttrag.indexes.sources.listing import SourceFile
from qttrag.indexes.sources.rows import BadRecord, SourceRow
from qttrag.text.languages import language_or_undetermined
from qttrag.types import Lang

OnError = Literal["stop", "skip"]
READER_VERSION = 2  # to be raised whenever the same source comes to give other passages: builds must not mix them
NO_PROSE = "no sentence left"  # a record that is empty after cleaning is skipped, and no error
EMPTY_FILE = "empty file"  # counted, and no error: programs that write a data set in parts write empty ones


class SourceRecord(NamedTuple):
    """One text of a source, not yet cut into passages."""

    record_id: str
    title: str
    text: str
    lang: Lang


class SourcePosition(NamedTuple):
    """A position in a source: after all of the first `file` files and `row` rows of the next."""

    file: int
    row: int


class ReadSummary(NamedTuple):
    """Digests of the record ids that were read, and the number of skipped and of repaired records by cause."""

    ids: list[int]
    skipped: Counter[str]
    repaired: Counter[str]


class SourceReader:
    """Iterates once over the records of a recipe's source, from `start` on.

    `position` and `share` (of all bytes) advance with the iteration. `seen`: ids read before `start`; `indexed`: ids
    that the index already contains.

    Raises:
        BadRecord: a record is invalid, and `on_error` is "stop".
        InputError: a file is not of the source's kind.
        ConfigError: a download failed."""

    def __init__(
        self,
        recipe: Recipe,
        files: Sequence[SourceFile],
        *,
        on_error: OnError,
        start: SourcePosition = SourcePosition(0, 0),  # noqa: B008  a tuple
        seen: IdSet | None = None,
        indexed: IdSet | None = None,
        downloads: Path | None = None,
    ) -> None:
        self.position = start
        self._skipped: Counter[str] = Counter()
        self._repaired: Counter[str] = Counter()
        self._ids: list[int] = []
        self._seen = IdSet() if seen is None else seen
        self._indexed = IdSet() if indexed is None else indexed
        self._recipe = recipe
        self._files = files
        self._on_error = on_error
        self._downloads = downloads or Path(tempfile.gettempdir())
        self._bytes = sum(file.size for file in files) or 1
        self._share_of_file = 0.0

    @property
    def share(self) -> float:
        """Return the share of the source that has been read, from 0 to 1."""
        before = sum(file.size for file in self._files[: self.position.file])
        current = self._files[self.position.file].size if self.position.file < len(self._files) else 0
        return min(1.0, (before + current * self._share_of_file) / self._bytes)

    def drain_summary(self) -> ReadSummary:
        """Return what was read, skipped and repaired since the last call."""
        summary = ReadSummary(self._ids, self._skipped, self._repaired)
        self._ids, self._skipped, self._repaired = [], Counter(), Counter()
        return summary

    def __iter__(self) -> Iterator[SourceRecord]:
        for number in range(self.position.file, len(self._files)):
            file = self._files[number]
            skip = self.position.row if number == self.position.file else 0
            self.position, self._share_of_file = SourcePosition(number, skip), 0.0
            is_empty = skip == 0
            with listing.local_copy(self._recipe, file, self._downloads) as path:
                for row in formats.rows(self._recipe.source, path, name=file.name, skip=skip):
                    is_empty = False
                    self.position, self._share_of_file = SourcePosition(number, row.number), row.share
                    if (record := self._accept(row)) is not None:
                        yield record
            self._skipped.update([EMPTY_FILE] if is_empty else [])
        self.position, self._share_of_file = SourcePosition(len(self._files), 0), 0.0

    def _accept(self, row: SourceRow) -> SourceRecord | None:
        try:
            record, repairs = _parse(self._recipe, row)
            key = digest(record.record_id)
            if key in self._seen:
                raise BadRecord("repeated id", f"{row.location}: the id '{record.record_id}' is repeated")
            if key in self._indexed:
                raise BadRecord(
                    "id in the index",
                    f"{row.location}: the index already has '{record.record_id}'; replace it with --replace",
                )
        except BadRecord as error:
            if self._on_error == "stop":
                raise
            self._skipped[error.cause] += 1
            return None
        self._seen.add(key)
        self._ids.append(key)
        self._repaired.update(repairs)
        if self._recipe.source.clean:
            record = record._replace(text=cleaning.wikipedia(record.text))
        if not record.text:
            self._skipped[NO_PROSE] += 1
            return None
        return record


def _parse(recipe: Recipe, row: SourceRow) -> tuple[SourceRecord, set[str]]:
    """Return the record of a row, and the causes for which its text or title was repaired."""
    cells, location = row.cells, row.location
    if isinstance(cells, BadRecord):
        raise cells
    fields = recipe.source.fields
    repaired = repair(_string(location, fields.text, cells.get(fields.text)))
    text = trim(repaired.text)
    if not text and recipe.source.kind != "kilt":
        raise BadRecord(f"empty {fields.text}", f"{location}: field '{fields.text}' is empty")
    title = cells.get(fields.title)
    heading = repair("" if title is None else _string(location, fields.title, title))
    lang = recipe.lang
    if lang is None:
        lang = _lang(location, _string(location, fields.lang, cells.get(fields.lang)))
    record_id = parse_id(location, fields.id, cells.get(fields.id))
    return SourceRecord(record_id, trim(heading.text), text, Lang(lang)), {*repaired.causes, *heading.causes}


def parse_id(location: str, field: str, value: object) -> str:
    """Return the id in a field, a text or a whole number.

    Raises:
        BadRecord: it is missing, empty, of another type, or has line breaks, control characters or lone surrogates."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    text = trim(_string(location, field, value))
    if not text:
        raise BadRecord(f"empty {field}", f"{location}: field '{field}' is empty")
    if not is_valid_id(text):
        raise BadRecord(
            f"invalid {field}",
            f"{location}: the id {text!a} has line breaks, control characters or lone surrogates",
        )
    return text


def _string(location: str, field: str, value: object) -> str:
    if value is None:
        raise BadRecord(f"no {field}", f"{location}: no field '{field}'; name it in `source: {{fields: ...}}`")
    if not isinstance(value, str):
        raise BadRecord(f"{field} no text", f"{location}: field '{field}' is {type(value).__name__}, not text")
    return value


def _lang(location: str, value: str) -> Lang:
    try:
        return language_or_undetermined(value)
    except InputError as error:
        raise BadRecord("unknown language", f"{location}: {error}") from error
