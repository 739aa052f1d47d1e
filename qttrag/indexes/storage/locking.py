"""Working on an index alone, so that nothing recorded is lost, whatever goes wrong."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import filelock

from qttrag.errors import CollectionError, ConfigError, StageError
from qttrag.indexes.storage.journal import Workshop

_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS}
_NOT_ALLOWED = {errno.EACCES, errno.EPERM}


def folder(path: Path) -> None:
    """Make the folder that indexes are built in.

    Raises:
        ConfigError: it cannot be made."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(
            f"{error.filename}: {error.strerror}; indexes are built in {path}, set QTTRAG_HOME to a folder that can "
            "be written"
        ) from error


@contextmanager
def alone(target: Path) -> Iterator[None]:
    """Keep other processes from changing the same index; the end of this one, however it comes, lets them.

    Raises:
        CollectionError: another is at it. ConfigError: the folder that the index is in cannot be written."""
    lock = filelock.FileLock(target.with_name(f".{target.name}.lock"), timeout=0)
    try:
        lock.acquire()
    except filelock.Timeout:
        raise CollectionError(
            f"index '{target.name}' is being built by another process; wait for its end, or end it"
        ) from None
    except OSError as error:
        raise ConfigError(
            f"{target.parent} cannot be written ({error.strerror}); set QTTRAG_HOME to a folder that can be"
        ) from error
    try:
        yield
    finally:
        lock.release()


@contextmanager
def keeping(workshop: Workshop) -> Iterator[None]:
    """Leave only recorded shards behind when the block fails, and say of a full disk or an encoder what to do.

    Raises:
        CollectionError: the index cannot be written. StageError: the encoder failed."""
    try:
        yield
    except BaseException as error:
        rows = _leave_whole_shards(workshop)
        if isinstance(error, OSError) and _is_of(error, workshop):
            raise CollectionError(
                f"index '{workshop.target.name}': {error.filename or workshop.folder} cannot be written "
                f"({error.strerror}); {rows:,} passages are done and kept: make room, or let it be written, and run "
                "the same command again"
            ) from error
        if isinstance(error, StageError) and rows:
            words = str(error).removeprefix(f"{error.stage}: ")
            raise type(error)(
                error.stage, f"{words}. {rows:,} passages are done and kept; run the same command again"
            ) from error
        raise


def _is_of(error: OSError, workshop: Workshop) -> bool:
    """Say whether it is about writing the index, not about reading its source."""
    inside = isinstance(error.filename, str) and Path(error.filename).is_relative_to(workshop.target.parent)
    return error.errno in _NO_ROOM or (error.errno in _NOT_ALLOWED and inside)


def _leave_whole_shards(workshop: Workshop) -> int:
    """Return the passages that the next run goes on from; without any there is nothing to leave."""
    with suppress(OSError, CollectionError):
        journal = workshop.journal()
        if journal.shards:
            workshop.sweep(journal)
            return journal.rows
        workshop.remove()
    return 0
