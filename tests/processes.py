"""Servers as processes of their own."""

from __future__ import annotations

import os
import subprocess
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

_READY_S = 180.0


@contextmanager
def serving(
    command: Sequence[str], url: str, log: Path, *, environment: Mapping[str, str] | None = None
) -> Iterator[None]:
    """Run a server while the block runs; the block begins when `url` answers. `environment`: variables to add.

    Raises:
        RuntimeError: the server ended, or did not answer in time; the message has the end of its log."""
    with log.open("wb") as output:
        server = subprocess.Popen(command, stdout=output, stderr=output, env={**os.environ, **(environment or {})})
        try:
            _wait(server, url, log)
            yield
        finally:
            server.terminate()
            server.wait(20)


def _wait(server: subprocess.Popen[bytes], url: str, log: Path) -> None:
    deadline = time.monotonic() + _READY_S
    while time.monotonic() < deadline and server.poll() is None:
        with suppress(OSError):
            urllib.request.urlopen(url, timeout=2).close()
            return
        time.sleep(0.5)
    raise RuntimeError(f"no answer from {url}: {log.read_text(encoding='utf-8')[-2000:]}")
