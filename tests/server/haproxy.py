"""HAProxy with the shipped settings, before nodes of a test."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.redis_server import free_port, wait_for_port
from tests.server.cluster_files import NODES


@contextmanager
def proxy(ports: Sequence[int], folder: Path) -> Iterator[str]:
    """Yield the address of a proxy before two nodes on this machine; only addresses differ from the shipped file."""
    if (program := shutil.which("haproxy")) is None:
        pytest.skip("haproxy is not installed (apt-get install haproxy)")
    port = free_port()
    settings = (NODES / "haproxy.cfg").read_text(encoding="utf-8")
    replaced = {
        "bind :8080": f"bind 127.0.0.1:{port}",
        "bind :8404": f"bind 127.0.0.1:{free_port()}",
        "qttrag-1:8080": f"127.0.0.1:{ports[0]}",
        "qttrag-2:8080": f"127.0.0.1:{ports[1]}",
    }
    for shipped, here in replaced.items():
        assert shipped in settings
        settings = settings.replace(shipped, here)
    file = folder / "haproxy.cfg"
    file.write_text(settings, encoding="utf-8")
    process = subprocess.Popen([program, "-f", str(file)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for_port(port)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(20)
