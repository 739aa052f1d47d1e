"""A Redis server of Debian's package redis-server, for tests of what several nodes share."""

from __future__ import annotations

import shutil
import socket
import subprocess
import tempfile
import time
from contextlib import suppress

import pytest


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def wait_for_port(port: int, *, most_s: float = 60) -> None:
    """Wait until a server listens at a port of this machine."""
    deadline = time.monotonic() + most_s
    while time.monotonic() < deadline:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.01)
    raise RuntimeError(f"nothing listens at port {port}")


class RedisServer:
    """An empty server at `url`, which keeps nothing on disk."""

    def __init__(self) -> None:
        if (program := shutil.which("redis-server")) is None:
            pytest.skip("redis-server is not installed (apt-get install redis-server)")
        self._port = free_port()
        self._folder = tempfile.TemporaryDirectory()
        self._program = program
        self.url = f"redis://127.0.0.1:{self._port}/0"
        self.start()

    def start(self) -> None:
        settings = {"port": self._port, "bind": "127.0.0.1", "dir": self._folder.name, "save": "", "appendonly": "no"}
        arguments = [text for name, value in settings.items() for text in (f"--{name}", str(value))]
        self._process = subprocess.Popen([self._program, *arguments], stdout=subprocess.DEVNULL)
        wait_for_port(self._port)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait(20)

    def close(self) -> None:
        self.kill()
        self._folder.cleanup()
