"""Refusals while all slots and the queue are taken."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator

import pytest

from tests.server.running import Running, SlowGenerator, application, running


@pytest.fixture
def full() -> Iterator[Running]:
    """A service whose only slot is taken for some seconds."""
    with running(application(SlowGenerator(0.5, lambda messages: "sana " * 10), in_flight=1, queue=0)) as up:
        asking = threading.Thread(target=lambda: up.ask(stream=True))
        asking.start()
        while "qttrag_requests_in_flight 1.0" not in up.client.get("/metrics").text:
            assert asking.is_alive()
        yield up
        asking.join(20)


def test_a_question_is_refused_before_it_is_read(full: Running) -> None:
    reply = full.client.post("/v1/ask", content=b"{ not JSON")
    assert (reply.status_code, reply.json()["error"]["code"]) == (429, "overloaded")
    assert int(reply.headers["retry-after"]) >= 1


def test_probes_and_pages_are_answered_all_the_same(full: Running) -> None:
    assert [full.client.get(path).status_code for path in ("/livez", "/readyz", "/", "/v1/models")] == [200] * 4


def test_refusals_share_a_line_of_the_log_and_are_counted(full: Running, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "qttrag.server"):
        for _ in range(20):
            assert full.ask().status_code == 429
        time.sleep(1.2)
    refusals = [record for record in caplog.records if record.message == "requests refused"]
    assert len(refusals) <= 2
    assert sum(vars(record)["refused"] for record in refusals) == 20
    assert not [record for record in caplog.records if vars(record).get("route") == "/v1/ask"]
    assert 'qttrag_requests_total{route="refused",status="429"} 20.0' in full.client.get("/metrics").text
