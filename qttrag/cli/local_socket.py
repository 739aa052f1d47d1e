"""The socket file at which `qttrag serve` answers `qttrag ask` of the same user and deployment.

Only its owner can open the folder and the file, so that it needs no key, and no other user can take its place. The name
of the file is the digest of the deployment's settings and the number of the process."""

from __future__ import annotations

import hashlib
import json
import os
import socket
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from qttrag import resources

if TYPE_CHECKING:
    from qttrag.config.deployment import Deployment

_BACKLOG = 16
_CONNECT_S = 1.0


def digest(deployment: Deployment) -> str:
    """Return a digest of all that decides how a deployment answers, but for the contents of files that it names."""
    settings = deployment.model_dump(mode="json", exclude={"server"})
    folders = [str(folder.resolve()) for folder in (resources.built_folder(), resources.folder("prompts"))]
    return hashlib.sha256(json.dumps([settings, folders], sort_keys=True).encode()).hexdigest()[:24]


def folder() -> Path | None:
    """Return the user's folder of socket files; None where there are none."""
    if not hasattr(socket, "AF_UNIX") or not hasattr(os, "getuid"):
        return None
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    return Path(runtime) / "qttrag" if runtime else Path(tempfile.gettempdir()) / f"qttrag-{os.getuid()}"


def _is_private(path: Path, is_kind: int) -> bool:
    """Return whether a path is of this kind, belongs to this user and is closed to all others; links are refused."""
    try:
        status = path.lstat()
    except OSError:
        return False
    return stat.S_IFMT(status.st_mode) == is_kind and status.st_uid == os.getuid() and not status.st_mode & 0o077


@contextmanager
def listening(deployment: Deployment) -> Iterator[socket.socket | None]:
    """Listen at the deployment's socket file while the block runs; None where that is impossible."""
    place = folder()
    if place is None:
        yield None
        return
    path = place / f"{digest(deployment)}-{os.getpid()}.sock"
    try:
        listener = _listen(path)
    except OSError:  # no such folder, another user's folder, or a path that is too long for a socket
        yield None
        return
    try:
        yield listener
    finally:
        listener.close()
        path.unlink(missing_ok=True)


def _listen(path: Path) -> socket.socket:
    path.parent.mkdir(mode=0o700, exist_ok=True)
    if not _is_private(path.parent, stat.S_IFDIR):
        raise PermissionError(f"{path.parent} is open to others")
    for other in path.parent.glob("*.sock"):
        if not _is_process(other):
            other.unlink(missing_ok=True)  # of a process that was killed
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listener.bind(str(path))
        path.chmod(0o600)
        listener.listen(_BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener


def _is_process(path: Path) -> bool:
    with suppress(ValueError, ProcessLookupError, PermissionError):
        os.kill(int(path.stem.rpartition("-")[2]), 0)
        return True
    return False


def connect(deployment: Deployment) -> socket.socket | None:
    """Return a connection to a running server of the same user and settings; None if there is none."""
    place = folder()
    if place is None or not _is_private(place, stat.S_IFDIR):
        return None
    for path in sorted(place.glob(f"{digest(deployment)}-*.sock")):
        if not _is_private(path, stat.S_IFSOCK):
            continue
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.settimeout(_CONNECT_S)
        try:
            connection.connect(str(path))
        except OSError:  # left by a process that was killed
            connection.close()
            continue
        connection.settimeout(None)
        return connection
    return None
