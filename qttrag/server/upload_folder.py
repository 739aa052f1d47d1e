"""The folder of files that are being uploaded. What a killed process left there is deleted at the next start."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from tempfile import mkdtemp
from typing import IO

import filelock

from qttrag import resources
from qttrag.indexes.jobs.document_reading import NewDocument

_COPY_BYTES = 1 << 20
_LOCK = "lock"


class UploadFolder:
    """A folder of this process beside the built indexes. It is locked while the process lives."""

    def __init__(self) -> None:
        self._root = resources.built_folder() / ".uploads"
        self._own: Path | None = None
        self._lock: filelock.BaseFileLock | None = None

    def open(self) -> None:
        """Make the folder; delete those of processes that are gone.

        Raises:
            OSError: the folder of built indexes is not writable."""
        if self._own is not None:
            return
        self._root.mkdir(parents=True, exist_ok=True)
        for left in self._root.iterdir():
            with suppress(filelock.Timeout, OSError), filelock.FileLock(left / _LOCK, timeout=0):
                shutil.rmtree(left, ignore_errors=True)
        self._own = Path(mkdtemp(dir=self._root))
        self._lock = filelock.FileLock(self._own / _LOCK)
        self._lock.acquire()

    def store(self, files: Mapping[str, IO[bytes]]) -> tuple[Path, list[NewDocument]]:
        """Copy files, by name, into a new folder; return it and its documents."""
        assert self._own is not None  # noqa: S101  opened at the start of the service
        folder = Path(mkdtemp(dir=self._own))
        documents = []
        for number, (name, stream) in enumerate(files.items()):
            path, digest, size = folder / str(number), hashlib.sha256(), 0
            with path.open("wb") as target:
                while part := stream.read(_COPY_BYTES):
                    target.write(part)
                    digest.update(part)
                    size += len(part)
            documents.append(NewDocument(name, path, digest.hexdigest(), size))
        return folder, documents

    def close(self) -> None:
        """Delete the folder."""
        if self._lock is not None:
            self._lock.release()
        if self._own is not None:
            shutil.rmtree(self._own, ignore_errors=True)
