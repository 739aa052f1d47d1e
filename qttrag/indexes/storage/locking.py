"""Locks that let one process at a time change an index."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import filelock

from qttrag.errors import CollectionError, ConfigError


class IndexLocked(CollectionError):
    """Another process builds or changes the index; it will be free later."""

    _sentence = "the collection is being changed by another process; try again later"


@contextmanager
def exclusive_lock(index: Path) -> Iterator[None]:
    """Keep other processes from changing the index in this folder, until the block ends or this process dies.

    Raises:
        IndexLocked: another process holds the lock. ConfigError: the parent folder is not writable."""
    lock = filelock.FileLock(index.with_name(f".{index.name}.lock"), timeout=0)
    try:
        lock.acquire()
    except filelock.Timeout:
        raise IndexLocked(
            f"index '{index.name}' is locked by another process that builds or changes it; wait for it, or stop it"
        ) from None
    except OSError as error:
        raise ConfigError(
            f"{index.parent} is not writable ({error.strerror}); set QTTRAG_HOME to a writable folder"
        ) from error
    try:
        yield
    finally:
        lock.release()
