"""Reads the rows of one file from any row on: JSONL, TSV and KILT lines, gzipped or not, Parquet, Arrow IPC."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from qttrag.errors import InputError, first_line
from qttrag.indexes.recipe import Source
from qttrag.indexes.sources import cleaning, tsv
from qttrag.indexes.sources.lines import Line, lines
from qttrag.indexes.sources.rows import BadRecord, SourceRow

_BATCH_ROWS = 1024  # rows of a columnar file converted to Python objects at once


def rows(source: Source, path: Path, *, name: str, skip: int) -> Iterator[SourceRow]:
    """Yield the rows of a file after the first `skip`, in order. `name`: the file's name in messages.

    Raises:
        InputError: the file is not of the source's kind, truncated or cannot be read."""
    if source.kind in ("parquet", "hub"):
        return _parquet(source, path, name, skip)
    if source.kind == "arrow":
        return _arrow(source, path, name, skip)
    if source.kind == "tsv":
        return tsv.rows(lines(path, name), source.fields, skip=skip)
    return _objects(source, lines(path, name), skip)


def _objects(source: Source, lines: Iterable[Line], skip: int) -> Iterator[SourceRow]:
    parse = _kilt if source.kind == "kilt" else _json
    for line in lines:
        if line.number <= skip:
            continue
        if isinstance(line.text, BadRecord):
            yield SourceRow(line.location, line.number, line.share, line.text)
        elif line.text.strip():
            yield SourceRow(line.location, line.number, line.share, parse(source, line.location, line.text))


def _json(source: Source, location: str, text: str) -> Mapping[str, Any] | BadRecord:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        return BadRecord("not JSON", f"{location}: not JSON ({error})")
    return value if isinstance(value, dict) else BadRecord("not an object", f"{location}: not a JSON object")


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
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{name}: not a Parquet file ({first_line(error)})") from error


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
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{name}: not an Arrow IPC file ({first_line(error)})") from error


def _columns(source: Source) -> list[str]:
    fields = source.fields
    return [fields.id, fields.title, fields.text, fields.lang]


def _batch_rows(batches: Any, name: str, *, before: int, skip: int, total: int) -> Iterator[SourceRow]:
    number = before
    for batch in batches:
        if number + batch.num_rows <= skip:
            number += batch.num_rows
            continue
        for cells in _cells(batch, f"{name}: row", number + 1):
            number += 1
            if number > skip:
                yield SourceRow(f"{name}: row {number}", number, number / total if total else 0.0, cells)


def _cells(batch: Any, name: str, first: int) -> list[Mapping[str, Any] | BadRecord]:
    """Return the rows of a batch. Arrow does not check that its texts are UTF-8. `first`: the first row's number."""
    try:
        cells: list[Mapping[str, Any] | BadRecord] = batch.to_pylist()
        return cells
    except UnicodeDecodeError as error:
        if batch.num_rows == 1:
            reason = f"{error.reason}, 0x{error.object[error.start]:02x} at byte {error.start}"
            return [BadRecord("not UTF-8", f"{name} {first}: not UTF-8 ({reason})")]
    return [row for n in range(batch.num_rows) for row in _cells(batch.slice(n, 1), name, first + n)]
