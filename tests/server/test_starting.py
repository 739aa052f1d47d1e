"""The start of a service: its log, failures of stages, and the address."""

from __future__ import annotations

import gc
import logging
import socket
import subprocess
import sys
import time
from dataclasses import replace

import pytest

from qttrag.errors import StageUnavailable
from qttrag.server.starting import KeptFromCollection
from tests.server.running import application, running


class Late:
    """Cannot be loaded at first."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)

    async def start(self) -> None:
        if self.errors:
            raise self.errors.pop(0)


def test_the_log_says_of_each_stage_that_it_loads_and_is_ready(caplog: pytest.LogCaptureFixture) -> None:
    served = replace(application(), parts=[("retriever", Late()), ("generator", Late())])
    with caplog.at_level(logging.INFO, "qttrag.server"), running(served) as up:
        assert up.client.get("/readyz").json()["ready"]
    lines = [(record.message, vars(record)["stage"]) for record in caplog.records if "stage " in record.message]
    assert sorted(lines) == [
        (f"stage {what}", stage) for what in ("loading", "ready") for stage in ("generator", "retriever")
    ]


@pytest.mark.parametrize("error", [StageUnavailable("generator", "http://x is down"), OSError("disk")])
def test_a_stage_that_fails_is_loaded_again(caplog: pytest.LogCaptureFixture, error: Exception) -> None:
    served = replace(application(), parts=[("generator", Late(error))])
    with caplog.at_level(logging.INFO, "qttrag.server"), running(served) as up:
        first = up.client.get("/readyz")
        deadline = time.monotonic() + 10
        while not up.client.get("/readyz").json()["ready"] and time.monotonic() < deadline:
            time.sleep(0.1)
        assert up.ask().status_code == 200
    assert (first.status_code, first.json()["stages"]) == (503, {"generator": "failed"})
    (failed,) = [record for record in caplog.records if record.message == "stage failed"]
    assert vars(failed)["cause"] == str(error)


def serve(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "qttrag", "serve", "-c", "paper", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_a_port_in_use_is_one_line_before_any_address() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = serve("--port", str(port))
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.count("\n") == 1
    assert f"cannot listen at 127.0.0.1, port {port}: Address already in use" in ended.stderr


@pytest.mark.parametrize("port", ["65536", "-1"])
def test_a_port_that_does_not_exist_is_one_line(port: str) -> None:
    ended = serve(f"--port={port}")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.count("\n") == 1


def test_completions_of_the_older_api_are_pointed_to_chats() -> None:
    with running(application()) as up:
        reply = up.client.post("/v1/completions", json={"model": "base", "prompt": "hei"})
    assert reply.status_code == 404
    assert "/v1/chat/completions" in reply.json()["error"]["message"]


async def test_what_is_loaded_leaves_garbage_collection_when_every_stage_is_ready() -> None:
    states = {"retriever": "ready", "generator": "loading"}
    kept = KeptFromCollection(states)
    try:
        await kept()
        assert gc.get_freeze_count() == 0
        states["generator"] = "ready"
        await kept()
        frozen = gc.get_freeze_count()
        assert frozen > 10_000
        own = [[n] for n in range(50_000)]  # of a question: they stay in it
        await kept()
        assert len(own) > gc.get_freeze_count() - frozen
    finally:
        gc.unfreeze()
