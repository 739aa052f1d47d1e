"""Records from files: JSONL, Parquet, TSV. A bad record is an error with its line, or is skipped and counted."""

from __future__ import annotations

import glob
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

from qttrag.errors import ConfigError, InputError
from qttrag.indexes.recipe import Recipe
from qttrag.languages import language
from qttrag.types import Lang

OnError = Literal["stop", "skip"]


class Record(NamedTuple):
    """One text of a source, before it is cut into passages."""

    record_id: str
    title: str
    text: str
    lang: Lang


class BadRecord(InputError):
    """A record that cannot be used. `cause` is a word to count by."""

    def __init__(self, cause: str, message: str) -> None:
        super().__init__(f"{message}; correct it, or count and leave out such records with --on-error skip")
        self.cause = cause


def records(recipe: Recipe, *, on_error: OnError, skipped: Counter[str]) -> Iterator[Record]:
    """Yield the records of a recipe's source in order; count what is skipped, by cause, in `skipped`.

    Raises:
        ConfigError: a path matches no file.
        BadRecord: a record is not as it must be, and `on_error` is "stop"."""
    seen: set[str] = set()
    for file in _files(recipe):
        for where, read in _rows(recipe, file):
            try:
                record = _record(recipe, where, read)
                if record.record_id in seen:
                    raise BadRecord("repeated id", f"{where}: the id '{record.record_id}' was there before")
            except BadRecord as error:
                if on_error == "stop":
                    raise
                skipped[error.cause] += 1
                continue
            seen.add(record.record_id)
            yield record


def _files(recipe: Recipe) -> list[Path]:
    files: list[Path] = []
    for pattern in recipe.source.path:
        matching = map(Path, glob.glob(pattern, recursive=True))  # noqa: PTH207  patterns are absolute
        found = sorted(path for path in matching if not path.is_dir())
        if not found:
            raise ConfigError(
                f"recipe '{recipe.name}': no file at source path '{pattern}'; paths are beside the recipe, "
                "and of a folder they name the files (folder/*.jsonl)"
            )
        files += found
    return files


def _rows(recipe: Recipe, file: Path) -> Iterator[tuple[str, Mapping[str, Any] | BadRecord]]:
    if recipe.source.kind == "parquet":
        yield from _parquet(recipe, file)
        return
    parse = _json if recipe.source.kind == "jsonl" else _tsv
    with file.open("rb") as stream:
        for number, line in enumerate(stream, 1):
            where = f"{file}:{number}"
            try:
                text = line.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r\n")
            except UnicodeDecodeError as error:
                yield where, BadRecord("not UTF-8", f"{where}: not UTF-8 ({error.reason} at byte {error.start})")
                continue
            if text.strip():
                yield where, parse(recipe, where, text)


def _json(recipe: Recipe, where: str, text: str) -> Mapping[str, Any] | BadRecord:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        return BadRecord("not JSON", f"{where}: not JSON ({error})")
    return value if isinstance(value, dict) else BadRecord("not an object", f"{where}: not a JSON object")


def _tsv(recipe: Recipe, where: str, text: str) -> Mapping[str, Any] | BadRecord:
    cells = text.split("\t")
    if not 2 <= len(cells) <= 3:
        return BadRecord("columns", f"{where}: {len(cells)} columns; TSV has id, text and perhaps title")
    fields = recipe.source.fields
    return dict(zip((fields.id, fields.text, fields.title), cells, strict=False))


def _parquet(recipe: Recipe, file: Path) -> Iterator[tuple[str, Mapping[str, Any] | BadRecord]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    fields = recipe.source.fields
    wanted = [fields.id, fields.title, fields.text, fields.lang]
    try:
        reader = pq.ParquetFile(file)
        present = [name for name in wanted if name in reader.schema_arrow.names]
        number = 0
        for batch in reader.iter_batches(batch_size=4096, columns=present):
            for row in batch.to_pylist():
                number += 1
                yield f"{file}: row {number}", row
    except (pa.ArrowInvalid, OSError) as error:
        raise InputError(f"{file}: not a Parquet file ({str(error).splitlines()[0]})") from error


def _record(recipe: Recipe, where: str, row: Mapping[str, Any] | BadRecord) -> Record:
    if isinstance(row, BadRecord):
        raise row
    fields = recipe.source.fields
    identifier = row.get(fields.id)
    if isinstance(identifier, int) and not isinstance(identifier, bool):
        identifier = str(identifier)
    text = _string(where, fields.text, row.get(fields.text))
    title = row.get(fields.title)
    lang = recipe.lang
    if lang is None:
        lang = _lang(where, _string(where, fields.lang, row.get(fields.lang)))
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
