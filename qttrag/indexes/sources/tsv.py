"""Reads tab-separated values: files that quote cells as csv writers do (DPR's psgs_w100.tsv), and files that do not.

A cell is quoted if it begins with `"` and the next `"` that is not doubled ends it: a tab or the end of the line
follows. Any other `"` is text. A quoted cell may contain tabs and line breaks. In a file without quoting, a text that
begins with `"` looks like the beginning of such a cell if a later `"` stands before a tab or the end of a line. So a
line with as many columns as the first line of the file is one record, and its tabs end cells; only other lines are
joined to one record, or have tabs in a cell."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from qttrag.errors import InputError
from qttrag.indexes.recipe import Fields
from qttrag.indexes.sources.lines import Line
from qttrag.indexes.sources.rows import BadRecord, SourceRow

_QUOTED = re.compile(r'"((?:[^"]++|"")*+)"(?=\t|\Z)')
_UNCLOSED = re.compile(r'"(?:[^"]++|"")*+\Z')
_INSIDE = re.compile(r'(?:[^"]++|"")*+')
_LONGEST = 1 << 24  # characters of a record's lines


class Cells(NamedTuple):
    """The cells of a line. `unclosed`: the last of them may be the beginning of a quoted cell of several lines."""

    cells: list[str]
    unclosed: bool


def rows(lines: Iterator[Line], fields: Fields, *, skip: int) -> Iterator[SourceRow]:
    """Yield the records of a file that end after the first `skip` lines.

    The columns are id, text and optionally title, or those that the first line names, in any case and order; other
    columns are ignored.

    Raises:
        InputError: the first line names a column twice."""
    upcoming = _Upcoming(lines)
    columns: list[str] = []
    width = 0
    for line in upcoming:
        if isinstance(line.text, str) and not line.text.strip():
            continue
        if not columns:
            first = [] if isinstance(line.text, BadRecord) else split(line.text).cells
            header, width = _header(line.location, first, fields), len(first)
            columns = header or [fields.id, fields.text, fields.title]
            if header:
                continue
        if line.number > skip:
            yield _row(line, upcoming, columns, width)


def split(text: str) -> Cells:
    """Return the cells of one line, or of several that are one record."""
    if '"' not in text:
        return Cells(text.split("\t"), False)
    cells, start, unclosed = [], 0, False
    while start <= len(text):
        if quoted := _QUOTED.match(text, start):
            cells.append(quoted[1].replace('""', '"'))
            start = quoted.end() + 1
            continue
        unclosed = unclosed or _UNCLOSED.match(text, start) is not None
        end = text.find("\t", start)
        end = len(text) if end < 0 else end
        cells.append(text[start:end])
        start = end + 1
    return Cells(cells, unclosed)


class _Upcoming:
    """Iterates over lines, and looks ahead."""

    def __init__(self, lines: Iterator[Line]) -> None:
        self._lines = lines
        self._ahead: deque[Line] = deque()

    def __iter__(self) -> Iterator[Line]:
        while (line := self._ahead.popleft() if self._ahead else next(self._lines, None)) is not None:
            yield line

    def peek(self) -> Iterator[Line]:
        """Yield the lines that come next, and keep them."""
        number = 0
        while True:
            if number == len(self._ahead):
                if (line := next(self._lines, None)) is None:
                    return
                self._ahead.append(line)
            yield self._ahead[number]
            number += 1

    def drop(self, n: int) -> None:
        for _ in range(n):
            self._ahead.popleft()


def _row(line: Line, upcoming: _Upcoming, columns: list[str], width: int) -> SourceRow:
    if isinstance(line.text, BadRecord):
        return SourceRow(line.location, line.number, line.share, line.text)
    cells, unclosed = split(line.text)
    parts = [line, *_continuation(upcoming)] if unclosed else [line]
    joined = split("\n".join(str(part.text) for part in parts)).cells
    last = parts[-1]
    if len(parts) > 1 and not all(_is_whole(part, width) for part in parts):
        upcoming.drop(len(parts) - 1)
        return SourceRow(line.location, last.number, last.share, _named(line.location, joined, columns))
    if len(parts) > 1 and width < len(joined) <= len(columns):
        upcoming.drop(len(parts) - 1)  # none of its lines may become a record
        return SourceRow(line.location, last.number, last.share, _ambiguous(line, last, columns))
    cells = _plain_cells(line) if _is_whole(line, width) else cells
    return SourceRow(line.location, line.number, line.share, _named(line.location, cells, columns))


def _ambiguous(first: Line, last: Line, columns: list[str]) -> BadRecord:
    return BadRecord(
        "quotation mark",
        f"{first.location}: a cell begins with a quotation mark, which may end it in line {last.number} or be text; "
        f"the first line of the file has fewer columns. Begin the file with a line of names ({', '.join(columns)})",
    )


def _continuation(upcoming: _Upcoming) -> list[Line]:
    """Return the next lines, up to the one that ends the open quoted cell; none if no line ends it as a quoted cell."""
    parts: list[Line] = []
    length = 0
    for line in upcoming.peek():
        if isinstance(line.text, BadRecord) or length > _LONGEST:
            return []
        parts.append(line)
        length += len(line.text)
        after = _INSIDE.sub("", line.text, count=1)  # from the mark that ends the cell on
        rest = after[1:]
        if not after:
            continue
        if rest and not rest.startswith("\t"):
            return []
        if not split(rest[1:]).unclosed:
            return parts
    return []


def _is_whole(line: Line, width: int) -> bool:
    return not str(line.text).strip() or str(line.text).count("\t") == width - 1


def _plain_cells(line: Line) -> list[str]:
    """Return the cells of a line without tabs in cells."""
    return [cell for text in str(line.text).split("\t") for cell in split(text).cells]


def _header(location: str, cells: list[str], fields: Fields) -> list[str]:
    """Return the names of the columns, "" for others, if the cells are a header: [] unless id and text are among them.

    A header has the names of the recipe or, where these are missing, the usual ones."""
    titles = [cell.strip().casefold() for cell in cells]
    names = [""] * len(cells)
    for usual in ("id", "text", "title", "lang"):
        field = getattr(fields, usual)
        title = field.casefold() if field.casefold() in titles else usual
        if titles.count(title) > 1:
            raise InputError(f"{location}: two columns are called '{title}'; rename one of them")
        if title in titles:
            names[titles.index(title)] = field
    return names if {fields.id, fields.text} <= set(names) else []


def _named(location: str, cells: list[str], columns: list[str]) -> Mapping[str, str] | BadRecord:
    if not 2 <= len(cells) <= len(columns):
        named = ", ".join(filter(None, columns))
        return BadRecord("columns", f"{location}: {len(cells)} columns; the file has {named}")
    return {name: cell for name, cell in zip(columns, cells, strict=False) if name}
