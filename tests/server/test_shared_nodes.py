"""Two nodes of one service that share a Redis server."""

from __future__ import annotations

import itertools
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import Any

import httpx2
import pytest
import redis

from tests.redis_server import RedisServer, free_port, wait_for_port
from tests.server.node import shared_application
from tests.server.running import application, running


@pytest.fixture
def url(redis_server: RedisServer) -> str:
    with redis.Redis.from_url(redis_server.url) as client:
        client.flushall()
    return redis_server.url


@contextmanager
def node(port: int, url: str) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([sys.executable, "-m", "tests.server.node", str(port), url])
    try:
        yield process
    finally:
        process.kill()
        process.wait(20)


def ask(client: httpx2.Client, question: str = "Mikä on pääkaupunki?") -> Any:
    return client.post("/v1/ask", json={"question": question})


def test_two_nodes_count_the_requests_of_a_client_together(url: str) -> None:
    with (
        running(application(rate="3/minute", limits=url)) as one,
        running(application(rate="3/minute", limits=url)) as two,
    ):
        statuses = [ask(node.client).status_code for node in (one, two, one, two)]
    assert statuses == [200, 200, 200, 429]


def test_a_client_over_the_shared_limit_learns_when_to_return(url: str) -> None:
    with (
        running(application(rate="1/minute", limits=url)) as one,
        running(application(rate="1/minute", limits=url)) as two,
    ):
        ask(one.client)
        refused = ask(two.client)
    assert 0 < int(refused.headers["retry-after"]) <= 60


def test_the_limit_of_a_key_is_shared_wherever_it_stands_in_the_list(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    statuses = []
    for keys in ("mine,theirs", "theirs,mine"):
        monkeypatch.setenv("QTTRAG_API_KEYS", keys)
        with running(application(rate="1/minute", limits=url)) as node:
            node.client.headers["authorization"] = "Bearer mine"
            statuses.append(ask(node.client).status_code)
    assert statuses == [200, 429]


def test_keys_are_not_in_the_shared_storage(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QTTRAG_API_KEYS", "sesame")
    with running(application(rate="1/minute", limits=url)) as node:
        node.client.headers["authorization"] = "Bearer sesame"
        ask(node.client)
    with redis.Redis.from_url(url) as client:
        names: Any = client.keys()
    assert names
    assert not [name for name in names if b"sesame" in name]


def test_without_the_shared_server_each_node_counts_alone_and_metrics_show_it() -> None:
    with running(application(rate="3/minute", limits=f"redis://127.0.0.1:{free_port()}/0")) as node:
        statuses = [ask(node.client).status_code for _ in range(2)]
        metrics = node.client.get("/metrics")
    assert statuses == [200, 200]
    assert "qttrag_shared_limit_failures_total 1.0" in metrics.text


def test_what_one_node_translated_and_scored_costs_another_nothing(url: str) -> None:
    counts = []
    for _ in range(2):
        with running(shared_application(url)) as node:
            counts.append(ask(node.client).json()["trace"]["counts"])
    assert counts[0]["translate.computed"] == counts[0]["tag.computed"] == 2
    assert counts[1]["translate.cached"] == counts[1]["tag.cached"] == 2
    assert not {"translate.computed", "tag.computed", "answer.computed"} & set(counts[1])


def test_a_node_that_is_killed_loses_no_question_of_a_client_that_retries(url: str) -> None:
    ports = [free_port(), free_port()]
    turn, asked = itertools.count(), itertools.count(1)
    with ExitStack() as stack, httpx2.Client(timeout=30) as client:
        nodes = [stack.enter_context(node(port, url)) for port in ports]
        for port in ports:
            wait_for_port(port)

        def answer(number: int) -> str:
            if next(asked) == 50:
                nodes[0].kill()
            for _ in range(2 * len(ports)):
                try:
                    base = f"http://127.0.0.1:{ports[next(turn) % len(ports)]}"
                    response = client.post(f"{base}/v1/ask", json={"question": f"Mikä on kaupunki {number}?"})
                    return str(response.raise_for_status().json()["answer"])
                except httpx2.TransportError:
                    continue
            raise AssertionError("no node answers")

        with ThreadPoolExecutor(8) as threads:
            answers = list(threads.map(answer, range(200)))
    assert answers == ["It is Helsinki [1]."] * 200
