"""Records of a source, from any position on. A bad record is an error with its line, or is skipped and counted."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from qttrag.errors import InputError
from qttrag.indexes.recipe import Recipe
from qttrag.indexes.sources import cleaning, formats, listing
from qttrag.indexes.sources.formats import BadRecord, Row
from qttrag.indexes.sources.id_sets import Seen, digest
from qttrag.indexes.sources.listing import SourceFile
from qttrag.text.languages import language
from qttrag.types import Lang

OnError = Literal["stop", "skip"]
READING = 1  # raised whenever the same source comes to give other passages, which are not to be mixed
NO_PROSE = "no sentence left"  # what cleaning leaves nothing of is no error


class Record(NamedTuple):
    """One text of a source, before it is cut into passages."""

    record_id: str
    title: str
    text: str
    lang: Lang


class Position(NamedTuple):
    """How much is read: all of the first `file` files, and `row` rows of the next."""

    file: int
    row: int


class Taken(NamedTuple):
    """Digests of the ids of records, and how many records were left out, by cause."""

    ids: list[int]
    skipped: Counter[str]


class Reader:
    """Reads a recipe's source once. While it is iterated over, its attributes tell of what was read so far:

    `position`, and `share` of all bytes; `take` gives what there was since it was last called. `seen`: ids that were
    read before; `known`: those that an index has already.

    Raises:
        BadRecord: a record is not as it must be, and `on_error` is "stop".
        InputError: a file is not of its kind.
        ConfigError: a file cannot be fetched."""

    def __init__(
        self,
        recipe: Recipe,
        files: Sequence[SourceFile],
        *,
        on_error: OnError,
        start: Position = Position(0, 0),  # noqa: B008  a tuple
        seen: Seen | None = None,
        known: Seen | None = None,
        folder: Path | None = None,
    ) -> None:
        self.position = start
        self._skipped: Counter[str] = Counter()
        self._ids: list[int] = []
        self._seen = Seen() if seen is None else seen
        self._known = Seen() if known is None else known
        self._recipe = recipe
        self._files = files
        self._on_error = on_error
        self._folder = folder or Path(tempfile.gettempdir())
        self._bytes = sum(file.size for file in files) or 1
        self._share_of_file = 0.0

    @property
    def share(self) -> float:
        """Return how much of the source is read, from 0 to 1."""
        before = sum(file.size for file in self._files[: self.position.file])
        here = self._files[self.position.file].size if self.position.file < len(self._files) else 0
        return min(1.0, (before + here * self._share_of_file) / self._bytes)

    def take(self) -> Taken:
        taken = Taken(self._ids, self._skipped)
        self._ids, self._skipped = [], Counter()
        return taken

    def __iter__(self) -> Iterator[Record]:
        for number in range(self.position.file, len(self._files)):
            file = self._files[number]
            skip = self.position.row if number == self.position.file else 0
            self.position, self._share_of_file = Position(number, skip), 0.0
            with listing.local(self._recipe, file, self._folder) as path:
                for row in formats.rows(self._recipe.source, path, name=file.name, skip=skip):
                    self.position, self._share_of_file = Position(number, row.number), row.share
                    if (record := self._record(row)) is not None:
                        yield record
        self.position, self._share_of_file = Position(len(self._files), 0), 0.0

    def _record(self, row: Row) -> Record | None:
        try:
            record = _record(self._recipe, row)
            key = digest(record.record_id)
            if key in self._seen:
                raise BadRecord("repeated id", f"{row.where}: the id '{record.record_id}' was there before")
            if key in self._known:
                raise BadRecord(
                    "id in the index", f"{row.where}: the index has '{record.record_id}'; replace it with --replace"
                )
        except BadRecord as error:
            if self._on_error == "stop":
                raise
            self._skipped[error.cause] += 1
            return None
        self._seen.add(key)
        self._ids.append(key)
        if self._recipe.source.clean:
            record = record._replace(text=cleaning.wikipedia(record.text))
        if not record.text:
            self._skipped[NO_PROSE] += 1
            return None
        return record


def _record(recipe: Recipe, row: Row) -> Record:
    cells, where = row.cells, row.where
    if isinstance(cells, BadRecord):
        raise cells
    fields = recipe.source.fields
    identifier = cells.get(fields.id)
    if isinstance(identifier, int) and not isinstance(identifier, bool):
        identifier = str(identifier)
    text = _string(where, fields.text, cells.get(fields.text), may_be_empty=recipe.source.kind == "kilt")
    title = cells.get(fields.title)
    lang = recipe.lang
    if lang is None:
        lang = _lang(where, _string(where, fields.lang, cells.get(fields.lang)))
    return Record(
        _string(where, fields.id, identifier),
        "" if title is None else _string(where, fields.title, title, may_be_empty=True),
        text,
        Lang(lang),
    )


def _string(where: str, field: str, value: object, *, may_be_empty: bool = False) -> str:
    if value is None:
        raise BadRecord(f"no {field}", f"{where}: no field '{field}'; name it in `source: {{fields: ...}}`")
    if not isinstance(value, str):
        raise BadRecord(f"{field} no text", f"{where}: field '{field}' is {type(value).__name__}, not text")
    if not may_be_empty and not value.strip():
        raise BadRecord(f"empty {field}", f"{where}: field '{field}' is empty")
    return value.encode("utf-8", "replace").decode("utf-8").strip()  # a lone surrogate cannot be stored


def _lang(where: str, value: str) -> Lang:
    try:
        return language(value).code
    except InputError as error:
        raise BadRecord("unknown language", f"{where}: {error}") from error
