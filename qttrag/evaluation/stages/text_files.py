"""Reading the TSV and text files that single stages are measured on, also compressed (.gz)."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from qttrag.errors import ConfigError, InputError


@contextmanager
def opened(path: Path) -> Iterator[IO[str]]:
    """Open a file as text.

    Raises:
        ConfigError: the file does not exist."""
    if not path.is_file():
        raise ConfigError(f"no file '{path}'; check the path")
    with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as stream:
        yield stream


@contextmanager
def tsv_rows(path: Path, columns: Sequence[str]) -> Iterator[csv.DictReader[str]]:
    """Open a TSV file with a header that has `columns`; quotation marks are letters like others.

    Raises:
        ConfigError: the file does not exist.
        InputError: a column is missing."""
    with opened(path) as stream:
        rows = csv.DictReader(stream, delimiter="\t", quoting=csv.QUOTE_NONE)
        for name in columns:
            if name not in (rows.fieldnames or ()):
                raise InputError(f"{path}: no column '{name}' (columns: {', '.join(rows.fieldnames or ())})")
        yield rows
