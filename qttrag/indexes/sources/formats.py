"""Rows of one file: JSONL, TSV and KILT lines, gzipped or not, Parquet, Arrow IPC. Any row can be begun from."""

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

_BATCH = 1024  # rows of a columnar file turned into Python's values at once


class BadRecord(InputError):
    """A record that cannot be used. `cause` is a word to count by."""

    def __init__(self, cause: str, message: str) -> None:
        super().__init__(f"{message}; correct it, or count and leave out such records with --on-error skip")
        self.cause = cause


class Row(NamedTuple):
    """A row of a file. `where` in words; `number` from 1; `share` of the file that is read with it."""

    where: str
    number: int
    share: float
    cells: Mapping[str, Any] | BadRecord


def rows(source: Source, path: Path, *, name: str, skip: int) -> Iterator[Row]:
    """Yield the rows of a file after the first `skip`, in order. `name`: what messages call the file.

    Raises:
        InputError: the file is not of its kind, or cut short."""
    if source.kind in ("parquet", "hub"):
        return _parquet(source, path, name, skip)
    if source.kind == "arrow":
        return _arrow(source, path, name, skip)
    return _lines(source, path, name, skip)


def _lines(source: Source, path: Path, name: str, skip: int) -> Iterator[Row]:
    parse: Callable[[Source, str, str], Mapping[str, Any] | BadRecord] = {"tsv": _tsv, "kilt": _kilt}.get(
        source.kind, _json
    )
    size = path.stat().st_size or 1
    with path.open("rb") as raw:
        stream = gzip.GzipFile(fileobj=raw) if path.suffix == ".gz" else raw
        try:
            for number, line in enumerate(stream, 1):
                if number <= skip:
                    continue
                where = f"{name}:{number}"
                try:
                    text = line.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r\n")
                    cells = parse(source, where, text) if text.strip() else None
                except UnicodeDecodeError as error:
                    message = f"{where}: not UTF-8 ({error.reason} at byte {error.start})"
                    cells = BadRecord("not UTF-8", message)
                if cells is not None and not (number == 1 and source.kind == "tsv" and _is_header(source, cells)):
                    yield Row(where, number, raw.tell() / size, cells)
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise InputError(f"{name}: not a whole gzip file ({error}); fetch it again") from error


def _json(source: Source, where: str, text: str) -> Mapping[str, Any] | BadRecord:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        return BadRecord("not JSON", f"{where}: not JSON ({error})")
    return value if isinstance(value, dict) else BadRecord("not an object", f"{where}: not a JSON object")


def _tsv(source: Source, where: str, text: str) -> Mapping[str, Any] | BadRecord:
    cells = [_unquoted(cell) for cell in text.split("\t")]
    if not 2 <= len(cells) <= 3:
        return BadRecord("columns", f"{where}: {len(cells)} columns; TSV has id, text and perhaps title")
    return dict(zip(_tsv_columns(source), cells, strict=False))


def _tsv_columns(source: Source) -> tuple[str, str, str]:
    return (source.fields.id, source.fields.text, source.fields.title)


def _is_header(source: Source, cells: Mapping[str, Any] | BadRecord) -> bool:
    return not isinstance(cells, BadRecord) and all(key == value for key, value in cells.items())


def _unquoted(cell: str) -> str:
    """Return a cell without the quotes around it, those in it single, if it is written so (DPR's psgs_w100.tsv)."""
    inner = cell[1:-1]
    if len(cell) >= 2 and cell[0] == cell[-1] == '"' and '"' not in inner.replace('""', ""):
        return inner.replace('""', '"')
    return cell


def _kilt(source: Source, where: str, text: str) -> Mapping[str, Any] | BadRecord:
    """Return a page of the KILT knowledge source: its paragraphs without the marks of sections and lists."""
    page = _json(source, where, text)
    if isinstance(page, BadRecord):
        return page
    paragraphs = page.get("text")
    if not isinstance(paragraphs, list) or not all(isinstance(each, str) for each in paragraphs):
        return BadRecord("no paragraphs", f"{where}: `text` is not a list of paragraphs, as KILT has it")
    title = page.get("wikipedia_title", "")
    fields = source.fields
    body = cleaning.kilt(paragraphs, title if isinstance(title, str) else "")
    return {fields.id: page.get("wikipedia_id", page.get("_id")), fields.title: title, fields.text: body}


def _parquet(source: Source, path: Path, name: str, skip: int) -> Iterator[Row]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        reader = pq.ParquetFile(path)
        present = [column for column in _wanted(source) if column in reader.schema_arrow.names]
        total, before, groups = reader.metadata.num_rows, 0, list(range(reader.metadata.num_row_groups))
        while groups and before + reader.metadata.row_group(groups[0]).num_rows <= skip:
            before += reader.metadata.row_group(groups.pop(0)).num_rows
        batches = reader.iter_batches(batch_size=_BATCH, row_groups=groups, columns=present)
        yield from _of_batches(batches, name, before=before, skip=skip, total=total)
    except (pa.ArrowInvalid, OSError) as error:
        raise InputError(f"{name}: not a Parquet file ({str(error).splitlines()[0]})") from error


def _arrow(source: Source, path: Path, name: str, skip: int) -> Iterator[Row]:
    import pyarrow as pa

    try:
        with pa.memory_map(str(path)) as mapped:
            try:
                reader = pa.ipc.open_file(mapped)
                count = range(reader.num_record_batches)
                batches: Any = (reader.get_batch(number) for number in count)
                total = sum(reader.get_batch(number).num_rows for number in count)
            except pa.ArrowInvalid:
                mapped.seek(0)
                batches, total = pa.ipc.open_stream(mapped), 0  # as `datasets` writes; its length is not known
            pieces = (
                batch.select([c for c in _wanted(source) if c in batch.schema.names]).slice(start, _BATCH)
                for batch in batches
                for start in range(0, batch.num_rows, _BATCH)
            )
            yield from _of_batches(pieces, name, before=0, skip=skip, total=total)
    except (pa.ArrowInvalid, OSError) as error:
        raise InputError(f"{name}: not an Arrow IPC file ({str(error).splitlines()[0]})") from error


def _wanted(source: Source) -> list[str]:
    fields = source.fields
    return [fields.id, fields.title, fields.text, fields.lang]


def _of_batches(batches: Any, name: str, *, before: int, skip: int, total: int) -> Iterator[Row]:
    number = before
    for batch in batches:
        if number + batch.num_rows <= skip:
            number += batch.num_rows
            continue
        for cells in batch.to_pylist():
            number += 1
            if number > skip:
                yield Row(f"{name}: row {number}", number, number / total if total else 0.0, cells)
