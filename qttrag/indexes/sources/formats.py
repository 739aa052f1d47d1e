"""Reads the rows of one file from any row on: JSONL, TSV and KILT lines, gzipped or not, Parquet, Arrow IPC."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from qttrag.errors import InputError
from qttrag.indexes.recipe import Source
from qttrag.indexes.sources import cleaning

_BATCH_ROWS = 1024  # rows of a columnar file converted to Python objects at once


class BadRecord(InputError):
    """An invalid record. `cause`: a short name, by which skipped records are counted."""

    def __init__(self, cause: str, message: str) -> None:
        super().__init__(f"{message}; correct it, or skip and count such records with --on-error skip")
        self.cause = cause


class SourceRow(NamedTuple):
    """A row of a file. `location`: for messages; `number`: from 1; `share`: of the file that has been read after it."""

    location: str
    number: int
    share: float
    cells: Mapping[str, Any] | BadRecord


def rows(source: Source, path: Path, *, name: str, skip: int) -> Iterator[SourceRow]:
    """Yield the rows of a file after the first `skip`, in order. `name`: the file's name in messages.

    Raises:
        InputError: the file is not of the source's kind, or truncated."""
    if source.kind in ("parquet", "hub"):
        return _parquet(source, path, name, skip)
    if source.kind == "arrow":
        return _arrow(source, path, name, skip)
    return _lines(source, path, name, skip)


def _lines(source: Source, path: Path, name: str, skip: int) -> Iterator[SourceRow]:
    parsers: dict[str, Callable[[Source, str, str], Mapping[str, Any] | BadRecord]] = {"tsv": _tsv, "kilt": _kilt}
    parse = parsers.get(source.kind, _json)
    size = path.stat().st_size or 1
    with path.open("rb") as raw:
        stream = gzip.GzipFile(fileobj=raw) if path.suffix == ".gz" else raw
        try:
            for number, line in enumerate(stream, 1):
                if number <= skip:
                    continue
                location = f"{name}:{number}"
                try:
                    text = line.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r\n")
                    cells = parse(source, location, text) if text.strip() else None
                except UnicodeDecodeError as error:
                    message = f"{location}: not UTF-8 ({error.reason} at byte {error.start})"
                    cells = BadRecord("not UTF-8", message)
                if cells is not None and not (number == 1 and source.kind == "tsv" and _is_header(cells)):
                    yield SourceRow(location, number, raw.tell() / size, cells)
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise InputError(f"{name}: not a complete gzip file ({error}); download it again") from error


def _json(source: Source, location: str, text: str) -> Mapping[str, Any] | BadRecord:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        return BadRecord("not JSON", f"{location}: not JSON ({error})")
    return value if isinstance(value, dict) else BadRecord("not an object", f"{location}: not a JSON object")


def _tsv(source: Source, location: str, text: str) -> Mapping[str, Any] | BadRecord:
    cells = [_unquote(cell) for cell in text.split("\t")]
    if not 2 <= len(cells) <= 3:
        return BadRecord("columns", f"{location}: {len(cells)} columns; TSV has id, text and optionally title")
    columns = (source.fields.id, source.fields.text, source.fields.title)
    return dict(zip(columns, cells, strict=False))


def _is_header(cells: Mapping[str, Any] | BadRecord) -> bool:
    return not isinstance(cells, BadRecord) and all(key == value for key, value in cells.items())


def _unquote(cell: str) -> str:
    """Return a quoted cell (DPR's psgs_w100.tsv) without its quotes and with inner ones undoubled; others unchanged."""
    inner = cell[1:-1]
    if len(cell) >= 2 and cell[0] == cell[-1] == '"' and '"' not in inner.replace('""', ""):
        return inner.replace('""', '"')
    return cell


def _kilt(source: Source, location: str, text: str) -> Mapping[str, Any] | BadRecord:
    """Return a page of the KILT knowledge source, its paragraphs without the markers of sections and lists."""
    page = _json(source, location, text)
    if isinstance(page, BadRecord):
        return page
    paragraphs = page.get("text")
    if not isinstance(paragraphs, list) or not all(isinstance(paragraph, str) for paragraph in paragraphs):
        return BadRecord("no paragraphs", f"{location}: `text` must be a list of paragraphs, as in KILT")
    title = page.get("wikipedia_title", "")
    fields = source.fields
    body = cleaning.kilt(paragraphs, title if isinstance(title, str) else "")
    return {fields.id: page.get("wikipedia_id", page.get("_id")), fields.title: title, fields.text: body}


def _parquet(source: Source, path: Path, name: str, skip: int) -> Iterator[SourceRow]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        reader = pq.ParquetFile(path)
        columns = [column for column in _columns(source) if column in reader.schema_arrow.names]
        total, before, groups = reader.metadata.num_rows, 0, list(range(reader.metadata.num_row_groups))
        while groups and before + reader.metadata.row_group(groups[0]).num_rows <= skip:
            before += reader.metadata.row_group(groups.pop(0)).num_rows
        batches = reader.iter_batches(batch_size=_BATCH_ROWS, row_groups=groups, columns=columns)
        yield from _batch_rows(batches, name, before=before, skip=skip, total=total)
    except (pa.ArrowInvalid, OSError) as error:
        raise InputError(f"{name}: not a Parquet file ({str(error).splitlines()[0]})") from error


def _arrow(source: Source, path: Path, name: str, skip: int) -> Iterator[SourceRow]:
    import pyarrow as pa

    try:
        with pa.memory_map(str(path)) as mapped:
            try:
                reader = pa.ipc.open_file(mapped)
                numbers = range(reader.num_record_batches)
                batches: Any = (reader.get_batch(number) for number in numbers)
                total = sum(reader.get_batch(number).num_rows for number in numbers)
            except pa.ArrowInvalid:
                mapped.seek(0)
                batches, total = pa.ipc.open_stream(mapped), 0  # a stream, as `datasets` writes; its length is unknown
            slices = (
                batch.select([c for c in _columns(source) if c in batch.schema.names]).slice(start, _BATCH_ROWS)
                for batch in batches
                for start in range(0, batch.num_rows, _BATCH_ROWS)
            )
            yield from _batch_rows(slices, name, before=0, skip=skip, total=total)
    except (pa.ArrowInvalid, OSError) as error:
        raise InputError(f"{name}: not an Arrow IPC file ({str(error).splitlines()[0]})") from error


def _columns(source: Source) -> list[str]:
    fields = source.fields
    return [fields.id, fields.title, fields.text, fields.lang]


def _batch_rows(batches: Any, name: str, *, before: int, skip: int, total: int) -> Iterator[SourceRow]:
    number = before
    for batch in batches:
        if number + batch.num_rows <= skip:
            number += batch.num_rows
            continue
        for cells in batch.to_pylist():
            number += 1
            if number > skip:
                yield SourceRow(f"{name}: row {number}", number, number / total if total else 0.0, cells)
