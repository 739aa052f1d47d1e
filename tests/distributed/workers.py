"""The workers of builds on this machine's Ray cluster, as processes."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path


def worker_processes() -> list[int]:
    """Return the process ids of all workers that encode."""
    found = []
    for folder in Path("/proc").iterdir():
        with suppress(OSError):
            if folder.name.isdigit() and b"ray::EncodingWorker" in (folder / "cmdline").read_bytes():
                found.append(int(folder.name))
    return found


def kill(process: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(process, signal.SIGKILL)
