"""Files that are as they were or as they were to become, whatever ends the program in between."""

from __future__ import annotations

import ctypes
import importlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

PART = ".part"  # of a file's name while it is written
_HERE, _EXCHANGE = -100, 2  # AT_FDCWD and RENAME_EXCHANGE of Linux


def sync(path: Path) -> None:
    """Return when the file's contents, or the folder's names, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def aside(path: Path) -> Path:
    """Return where to write what `settle` then makes `path`."""
    return path.with_name(path.name + PART)


def settle(*paths: Path) -> None:
    """Make what was written aside the contents of `paths`; the contents are on the disk before the names are."""
    for path in paths:
        sync(aside(path))
    for path in paths:
        aside(path).replace(path)
    for folder in {path.parent for path in paths}:
        sync(folder)


def write_text(path: Path, text: str) -> None:
    aside(path).write_text(text, encoding="utf-8")
    settle(path)


def write_faiss(write: Callable[[Any, Any], None], what: Any, path: Path) -> None:
    """Have a function of FAISS write an index, or lists.

    Given a path, it would take a file for whole whose last bytes did not fit on the disk: how closing it went, it does
    not look."""
    faiss: Any = importlib.import_module("faiss")  # its stubs lack what SWIG makes
    try:
        with aside(path).open("wb") as file:
            write(what, faiss.PyCallbackIOWriter(file.write))
    except OSError as error:  # of a write it does not name the file
        error.filename = str(path)
        raise
    settle(path)


def exchange(path: Path, other: Path) -> bool:
    """Give each of two folders the other's name in one step; say whether this system can, or nothing was done."""
    try:
        rename = ctypes.CDLL(None, use_errno=True).renameat2
    except (AttributeError, OSError, TypeError):
        return False
    return bool(rename(_HERE, os.fsencode(path), _HERE, os.fsencode(other), _EXCHANGE) == 0)
