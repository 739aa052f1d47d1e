"""QTTRAG_HOME for a while: a folder for the conversions of models that a benchmark makes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def home(folder: str) -> Iterator[None]:
    """Set QTTRAG_HOME to `folder`, and afterwards to what it was."""
    before = os.environ.get("QTTRAG_HOME")
    os.environ["QTTRAG_HOME"] = folder
    try:
        yield
    finally:
        if before is None:
            del os.environ["QTTRAG_HOME"]
        else:
            os.environ["QTTRAG_HOME"] = before
