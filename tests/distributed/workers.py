"""The workers of builds and runs on this machine's Ray cluster, as processes."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path

from qttrag.distributed.ray_encoders import EncodingWorker


def worker_processes(kind: type = EncodingWorker) -> list[int]:
    """Return the process ids of all workers of a kind."""
    title = f"ray::{kind.__name__}".encode()
    found = []
    for folder in Path("/proc").iterdir():
        with suppress(OSError):
            if folder.name.isdigit() and title in (folder / "cmdline").read_bytes():
                found.append(int(folder.name))
    return found


def kill(process: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(process, signal.SIGKILL)
