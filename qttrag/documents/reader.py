"""Reads files in a process of its own, which it starts when the first file is read."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import qttrag
from qttrag.documents.document import Document, DocumentError
from qttrag.documents.limits import DocumentLimits
from qttrag.documents.types import type_of
from qttrag.errors import ConfigError

_WALL_FACTOR = 2  # times the limit of processor time
_START_S = 20.0  # for the process to import the libraries, before its first file
_READ_BYTES = 1 << 20
_PASSED_ON = ("PATH", "LANG", "LC_ALL", "TMPDIR", "PYTHONPATH")  # no other variable, as keys of servers are in some


class DocumentReader:
    """Reads one file at a time, in a process that has no access to this one. Use with `with`; thread-safe."""

    def __init__(self, limits: DocumentLimits | None = None) -> None:
        self._limits = limits or DocumentLimits()
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()

    def read(self, path: Path, *, name: str | None = None) -> Document:
        """Return the document in a file. `name`: the file's name, by whose extension its type is known.

        Raises:
            DocumentError: it cannot be read; the error has the reason. ConfigError: this system has no such limits."""
        kind = type_of(name or path.name)
        try:
            size = path.stat().st_size
        except OSError as error:
            raise DocumentError("unreadable", f"the file cannot be read ({error.strerror})") from error
        if size > self._limits.max_file_bytes:
            raise DocumentError("too_large", f"it has {size} bytes, at most {self._limits.max_file_bytes} are read")
        request = {"path": str(path.resolve()), "type": kind.name, "limits": self._limits.model_dump()}
        with self._lock:
            answer = json.loads(self._ask(json.dumps(request).encode() + b"\n"))
        if failure := answer.get("error"):
            raise DocumentError(failure["code"], str(failure["message"]))
        return Document.from_json(answer["document"])

    def _ask(self, request: bytes) -> bytes:
        deadline = time.monotonic() + _WALL_FACTOR * self._limits.seconds
        if self._process is None:
            self._process, deadline = _start(), deadline + _START_S
        process = self._process
        assert process.stdin is not None  # noqa: S101  pipes
        try:
            process.stdin.write(request)
            process.stdin.flush()
            answer = self._line(process, deadline)
        except OSError:
            answer = b""
        if not answer.endswith(b"\n"):
            timed_out = time.monotonic() >= deadline
            self.close()
            if timed_out:
                raise DocumentError("too_slow", f"reading it takes longer than {self._limits.seconds} s")
            raise DocumentError("crashed", "the process that reads documents ended; try again")
        return answer

    def _line(self, process: subprocess.Popen[bytes], deadline: float) -> bytes:
        """Return the next line of the process; what there is of it at the deadline or the end of the process."""
        assert process.stdout is not None  # noqa: S101  a pipe
        descriptor, parts = process.stdout.fileno(), [b""]
        while not parts[-1].endswith(b"\n"):
            ready, _, _ = select.select([descriptor], [], [], max(0.0, deadline - time.monotonic()))
            part = os.read(descriptor, _READ_BYTES) if ready else b""
            if not part:
                break
            parts.append(part)
        return b"".join(parts)

    def close(self) -> None:
        """End the process and its child."""
        process, self._process = self._process, None
        if process is None:
            return
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        for pipe in (process.stdin, process.stdout):
            with suppress(OSError):
                if pipe is not None:
                    pipe.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _start() -> subprocess.Popen[bytes]:
    if os.name != "posix":
        raise ConfigError("documents are read in a process with limits, which this system does not have; use Linux")
    packages = [str(Path(qttrag.__file__).parents[1]), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "qttrag.documents.reader_process"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**environment, "PYTHONPATH": os.pathsep.join(packages)},
        start_new_session=True,
    )
