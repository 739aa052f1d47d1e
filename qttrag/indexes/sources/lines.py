"""Reads text files line by line: UTF-8, with or without byte order marks, gzipped or not, with any usual line ends."""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import IO, NamedTuple

from qttrag.errors import InputError, first_line
from qttrag.indexes.sources.rows import BadRecord

_LONGEST = 1 << 26  # characters of a line; the longest pages of Wikipedia have some two million
_HEADS = {
    b"\xff\xfe": "UTF-16; save it as UTF-8, e.g. with `iconv -f UTF-16 -t UTF-8`",
    b"\xfe\xff": "UTF-16; save it as UTF-8, e.g. with `iconv -f UTF-16 -t UTF-8`",
    b"\x1f\x8b": "compressed by gzip; let its name end in .gz",
    b"PAR1": "a Parquet file; use `kind: parquet`",
    b"ARROW1": "an Arrow IPC file; use `kind: arrow`",
    b"PK\x03\x04": "a ZIP archive; extract it",
    b"\x28\xb5\x2f\xfd": "compressed by Zstandard; extract it",
    b"BZh": "compressed by bzip2; extract it",
    b"\xfd7zXZ": "compressed by xz; extract it",
}
"""What files are that begin with these bytes, and what to do with them."""


class Line(NamedTuple):
    """A line without its end. `location`: for messages; `number`: from 1; `share`: of the file, read after it."""

    location: str
    number: int
    share: float
    text: str | BadRecord


def lines(path: Path, name: str) -> Iterator[Line]:
    """Yield the lines of a file, which end in LF, CR LF or CR. `name`: the file's name in messages.

    A line that is not UTF-8 has a BadRecord in place of its text. A byte order mark at the beginning of any line is
    dropped: concatenated files have several.

    Raises:
        InputError: the file cannot be read, is no text file or has an endless line, or its compressed data is
            incomplete."""
    try:
        with path.open("rb") as raw:
            size = path.stat().st_size or 1
            stream = gzip.GzipFile(fileobj=raw) if path.suffix == ".gz" else raw
            for number, text in enumerate(_decoded(stream, name), 1):
                yield Line(f"{name}:{number}", number, raw.tell() / size, text)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise InputError(f"{name}: not a complete gzip file ({error}); download it again") from error
    except OSError as error:
        raise InputError(f"{name}: cannot be read ({error.strerror or first_line(error)})") from error


def plain_lines(stream: IO[bytes], name: str) -> list[str]:
    """Return the lines of a short list without empty ones and white space around them.

    Raises:
        InputError: one is not UTF-8."""
    result = []
    for text in _decoded(stream, name):
        if isinstance(text, BadRecord):
            raise InputError(text.reason)
        result.append(text.strip())
    return [text for text in result if text]


def _decoded(stream: IO[bytes] | gzip.GzipFile, name: str) -> Iterator[str | BadRecord]:
    text = io.TextIOWrapper(stream, encoding="utf-8", errors="surrogateescape", newline=None)
    try:
        for number, line in enumerate(iter(partial(text.readline, _LONGEST), ""), 1):
            if number == 1:
                _check_head(line[:8].encode("utf-8", "surrogateescape"), name)
            if len(line) >= _LONGEST:
                raise InputError(f"{name}:{number}: a line of more than {_LONGEST >> 20} million characters")
            yield _checked(line, f"{name}:{number}")
    finally:
        text.detach()  # leaves the stream open


def _check_head(head: bytes, name: str) -> None:
    for beginning, words in _HEADS.items():
        if head.startswith(beginning):
            raise InputError(f"{name}: {words}")
    if b"\x00" in head:
        raise InputError(f"{name}: UTF-16 or no text at all (its first 8 bytes contain NUL); save it as UTF-8")


def _checked(line: str, location: str) -> str | BadRecord:
    line = line.removesuffix("\n").removeprefix("\ufeff")
    try:
        line.encode("utf-8")
    except UnicodeEncodeError:
        return BadRecord("not UTF-8", f"{location}: {_not_utf8(line)}")
    return line


def _not_utf8(line: str) -> str:
    data = line.encode("utf-8", "surrogateescape")
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        around = f"{error.reason}, 0x{data[error.start]:02x} at byte {error.start}"
        return f"not UTF-8 ({around}); a file of Windows becomes UTF-8 with `iconv -f WINDOWS-1252 -t UTF-8`"
    raise AssertionError("only bytes that are not UTF-8 are escaped")
