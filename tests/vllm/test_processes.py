"""Real processes that start, serve and stop: a few lines of Python in place of vLLM."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace

import pytest

from qttrag.errors import ConfigError, StageError
from qttrag.vllm import processes
from qttrag.vllm.plan import PlannedServer
from tests.openai_client.test_balancing import free_port

SERVES = r"""
import http.server, json, sys, time
METRICS = 'vllm:num_requests_running{a="b"} 2.0\nvllm:prefix_cache_queries_total 8\nvllm:prefix_cache_hits_total 6\n'
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        pages = {"/v1/models": json.dumps({"data": [{"id": sys.argv[2]}]}), "/metrics": METRICS}
        self.send_response(200)
        self.end_headers()
        self.wfile.write(pages[self.path].encode())
print("loading", flush=True)
time.sleep(0.7)
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


def planned(program: str = SERVES, *, model: str = "m") -> PlannedServer:
    port = free_port()
    command = (sys.executable, "-c", program, str(port), model)
    return PlannedServer(model, f"http://127.0.0.1:{port}/v1", 2048, 1.0, "NO_KEY", command=command)


@pytest.fixture(autouse=True)
def _stopped() -> Iterator[None]:
    yield
    processes.down()


def test_servers_are_started_waited_for_listed_and_stopped() -> None:
    one, other = planned(), planned(model="n")
    lines: list[str] = []
    running = processes.up([one, other], ready_s=20, tell=lambda server, line: lines.append(line))
    assert [(server.model, server.is_alive) for server in running] == [("m", True), ("n", True)]
    assert "loading" in lines
    (first, _) = sorted(map(processes.status, processes.known_servers()), key=lambda status: status.running.model)
    assert (first.state, first.in_work, first.cached_share) == ("ready", 2, 0.75)
    assert processes.down(only=[one.base_url]) == running[:1]
    assert [server.is_alive for server in running] == [False, True]
    assert processes.down() == running[1:]
    assert processes.known_servers() == []


def test_a_running_server_is_not_started_again() -> None:
    one = planned()
    assert processes.up([one], ready_s=20) == processes.up([one], ready_s=20)


def test_a_server_that_exits_during_its_start_is_reported_with_its_log() -> None:
    with pytest.raises(StageError, match=r"(?s)exited during its start.*no room"):
        processes.up([planned("print('no room')")], ready_s=20)
    assert processes.known_servers() == []


def test_a_server_that_is_not_ready_in_time_is_named() -> None:
    with pytest.raises(StageError, match=r"not ready after 0\.2 s; raise `ready_s:`"):
        processes.up([planned("import time; time.sleep(60)")], ready_s=0.2)


def test_a_port_in_use_by_another_program_is_named() -> None:
    one = planned()
    processes.up([one], ready_s=20)
    file = processes.folder() / f"{one.port}.json"
    file.rename(kept := processes.folder() / "kept")
    try:
        with pytest.raises(ConfigError, match="in use by another program"):
            processes.up([one], ready_s=5)
    finally:
        kept.rename(file)


def test_a_missing_command_is_an_error_with_the_way_to_install_it() -> None:
    one = planned()
    missing = PlannedServer(one.model, one.base_url, 2048, 1.0, "NO_KEY", command=("no-such-vllm", "serve"))
    with pytest.raises(ConfigError, match=r"cannot run 'no-such-vllm'.*pip install"):
        processes.up([missing], ready_s=5)


def test_another_process_with_the_same_number_is_not_the_server() -> None:
    (server,) = processes.up([planned()], ready_s=20)
    stale = replace(server, born="Thu Jan 1 00:00:00 1970")
    assert server.is_alive
    assert not stale.is_alive
