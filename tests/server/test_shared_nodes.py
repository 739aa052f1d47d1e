"""Two nodes of one service that share a Redis server and a Milvus server."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import httpx2
import pytest
import redis
from milvus_lite.adapter.grpc.server import start_server_in_thread

from qttrag.indexes.jobs.build import build
from qttrag.indexes.recipe import EncoderSettings, Recipe, Source
from qttrag.stores.export import export
from qttrag.stores.milvus import milvus
from tests.indexes.hashing_encoder import MODEL, open_hashing
from tests.redis_server import RedisServer, free_port, wait_for_port
from tests.server.haproxy import proxy
from tests.server.node import COLLECTION, shared_application
from tests.server.running import PASSAGES, application, running


@pytest.fixture
def url(redis_server: RedisServer) -> str:
    with redis.Redis.from_url(redis_server.url) as client:
        client.flushall()
    return redis_server.url


@pytest.fixture(scope="module")
def store_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a Milvus server with three passages."""
    folder = tmp_path_factory.mktemp("milvus")
    server, database, port = start_server_in_thread(data_dir=str(folder / "data.db"))
    address = f"http://127.0.0.1:{port}"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("QTTRAG_HOME", str(folder))
        source = folder / "source.jsonl"
        records = [{"id": p.passage_id, "text": p.text, "title": p.title, "lang": p.lang} for p in PASSAGES]
        source.write_text("\n".join(map(json.dumps, records)), encoding="utf-8")
        recipe = Recipe(
            name=COLLECTION, source=Source(kind="jsonl", path=str(source)), encoder=EncoderSettings(model=MODEL)
        )
        build(recipe, open_encoder=open_hashing)
        export(COLLECTION, milvus(collection=COLLECTION, url=address))
    yield address
    server.stop(grace=0).wait()
    database.close()


class Node(NamedTuple):
    process: subprocess.Popen[bytes]
    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@contextmanager
def two_nodes(url: str, store_url: str) -> Iterator[list[Node]]:
    """Run two nodes, each in a process of its own."""
    ports = [free_port(), free_port()]
    commands = [[sys.executable, "-m", "tests.server.node", str(port), url, store_url] for port in ports]
    nodes = [Node(subprocess.Popen(command), port) for command, port in zip(commands, ports, strict=True)]
    try:
        for port in ports:
            wait_for_port(port)
        yield nodes
    finally:
        for node in nodes:
            node.process.kill()
            node.process.wait(20)


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


def test_what_one_node_translated_and_scored_costs_another_nothing(url: str, store_url: str) -> None:
    counts = []
    for _ in range(2):
        with running(shared_application(url, store_url)) as node:
            counts.append(ask(node.client).json()["trace"]["counts"])
    assert counts[0]["translate.computed"] == counts[0]["tag.computed"] == 2
    assert counts[1]["translate.cached"] == counts[1]["tag.cached"] == 2
    assert not {"translate.computed", "tag.computed", "answer.computed"} & set(counts[1])


def test_a_node_that_is_killed_loses_no_question_of_a_client_that_retries(url: str, store_url: str) -> None:
    with two_nodes(url, store_url) as nodes:
        turn = itertools.count()

        def post(client: httpx2.Client, question: dict[str, str]) -> httpx2.Response:
            first = next(turn)
            for number in (first, first + 1):
                with suppress(httpx2.TransportError):
                    return client.post(f"{nodes[number % 2].url}/v1/ask", json=question)
            raise AssertionError("no node answers")

        assert answers(nodes, post, questions=200) == ["It is Helsinki [1]."] * 200


def test_the_proxy_loses_no_question_when_a_node_is_killed(url: str, store_url: str, tmp_path: Path) -> None:
    with two_nodes(url, store_url) as nodes, proxy([node.port for node in nodes], tmp_path) as address:

        def post(client: httpx2.Client, question: dict[str, str]) -> httpx2.Response:
            return client.post(f"{address}/v1/ask", json=question)

        assert answers(nodes, post, questions=60) == ["It is Helsinki [1]."] * 60


def answers(
    nodes: Sequence[Node], post: Callable[[httpx2.Client, dict[str, str]], httpx2.Response], *, questions: int
) -> list[str]:
    """Ask different questions, eight at a time; the first node is killed after a quarter of them."""
    asked = itertools.count(1)

    def answer(number: int) -> str:
        if next(asked) == questions // 4:
            nodes[0].process.kill()
        response = post(client, {"question": f"Mikä on kaupunki {number}?"})
        return str(response.raise_for_status().json()["answer"])

    with ThreadPoolExecutor(8) as threads, httpx2.Client(timeout=30) as client:
        return list(threads.map(answer, range(questions)))
