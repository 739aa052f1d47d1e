"""Atomic, durable file writes: after a crash a file has either its old or its new contents."""

from __future__ import annotations

import ctypes
import importlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

_TEMPORARY_SUFFIX = ".part"
_AT_FDCWD, _RENAME_EXCHANGE = -100, 2  # of Linux's renameat2


def sync(path: Path) -> None:
    """Flush a file's contents, or a folder's entries, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def temporary_path(path: Path) -> Path:
    """Return the path to write the new contents of `path` to, before `commit`."""
    return path.with_name(path.name + _TEMPORARY_SUFFIX)


def commit(*paths: Path) -> None:
    """Replace `paths` by their temporary files; contents are flushed before names change."""
    for path in paths:
        sync(temporary_path(path))
    for path in paths:
        temporary_path(path).replace(path)
    for folder in {path.parent for path in paths}:
        sync(folder)


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically."""
    temporary_path(path).write_text(text, encoding="utf-8")
    commit(path)


def write_faiss(write: Callable[[Any, Any], None], value: Any, path: Path) -> None:
    """Write an index or inverted lists atomically with a function of FAISS.

    FAISS is given a file object: given a path, it ignores errors of closing, so a file whose last bytes did not fit on
    the disk would pass as complete."""
    faiss: Any = importlib.import_module("faiss")  # its stubs lack the SWIG classes
    try:
        with temporary_path(path).open("wb") as file:
            write(value, faiss.PyCallbackIOWriter(file.write))
    except OSError as error:  # a failed write does not name the file
        error.filename = str(path)
        raise
    commit(path)


def swap_folders(path: Path, other: Path) -> bool:
    """Swap the names of two folders in one step; return False, with nothing done, where the system cannot."""
    try:
        rename = ctypes.CDLL(None, use_errno=True).renameat2
    except (AttributeError, OSError, TypeError):
        return False
    return bool(rename(_AT_FDCWD, os.fsencode(path), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE) == 0)
