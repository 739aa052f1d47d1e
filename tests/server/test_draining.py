"""The end of a service that really runs in a process of its own, by SIGTERM."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import httpx2
import pytest

from tests.server.running import events

SCRIPT = """
import socket, sys
import uvicorn
from qttrag.server import create_app
from qttrag.server.draining import DrainingServer
from tests.server.running import SlowGenerator, application

words, drain = int(sys.argv[1]), float(sys.argv[2])
app = create_app(application=application(SlowGenerator(0.2, lambda messages: "sana " * words), drain=drain))
listening = socket.create_server(("127.0.0.1", 0))
print(listening.getsockname()[1], flush=True)
DrainingServer(uvicorn.Config(app, log_level="info", timeout_graceful_shutdown=5), app.state.service).run([listening])
"""


class Service:
    """A running service. `log`: what it wrote, after its end."""

    def __init__(self, process: subprocess.Popen[str], url: str) -> None:
        self.process = process
        self.url = url
        self.log = ""

    def terminate(self) -> None:
        self.process.send_signal(signal.SIGTERM)

    def ask(self, *, stream: bool) -> httpx2.Response:
        return httpx2.post(f"{self.url}/v1/ask", json={"question": "hei", "stream": stream}, timeout=30)


@contextmanager
def serving(words: int, drain: float) -> Iterator[Service]:
    command = [sys.executable, "-c", SCRIPT, str(words), str(drain)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    service = Service(process, f"http://127.0.0.1:{process.stdout.readline().strip()}")
    try:
        yield service
        _, service.log = process.communicate(timeout=20)
    finally:
        process.kill()


@pytest.mark.parametrize("stream", [True, False])
def test_what_takes_longer_than_the_drain_ends_with_an_error(stream: bool) -> None:
    replies: list[httpx2.Response] = []
    with serving(words=200, drain=1.5) as service:
        asking = threading.Thread(target=lambda: replies.append(service.ask(stream=stream)))
        asking.start()
        while "qttrag_requests_in_flight 1.0" not in httpx2.get(f"{service.url}/metrics").text:
            assert asking.is_alive()
        service.terminate()
        while (ready := httpx2.get(f"{service.url}/readyz")).status_code == 200:
            pass
        refused = service.ask(stream=False)
        asking.join(20)
    assert ready.status_code == 503
    assert (refused.status_code, refused.json()["error"]["code"]) == (503, "shutting_down")
    if stream:
        kind, data = events(replies[0].text)[-1]
        assert kind == "error"
    else:
        assert replies[0].status_code == 503
        data = replies[0].json()
    assert data["error"]["code"] == "shutting_down"
    assert "Traceback" not in service.log
    assert service.process.returncode in (0, -signal.SIGTERM)


def test_what_ends_within_the_drain_is_answered() -> None:
    replies: list[httpx2.Response] = []
    with serving(words=6, drain=20) as service:
        asking = threading.Thread(target=lambda: replies.append(service.ask(stream=True)))
        asking.start()
        while "qttrag_requests_in_flight 1.0" not in httpx2.get(f"{service.url}/metrics").text:
            assert asking.is_alive()
        service.terminate()
        asking.join(20)
    assert events(replies[0].text)[-1][0] == "end"
    assert "Traceback" not in service.log
