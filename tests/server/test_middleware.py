"""Keys, rates, probes, metrics, logs."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator

import pytest
from typer.testing import CliRunner

from qttrag.cli import app
from qttrag.errors import ConfigError
from qttrag.server.middleware import LogFormatter
from tests.server.running import Running, application, running


@pytest.fixture
def keyed(monkeypatch: pytest.MonkeyPatch) -> Iterator[Running]:
    monkeypatch.setenv("QTTRAG_API_KEYS", "first, second")
    with running(application()) as up:
        yield up


@pytest.mark.parametrize("header", ["", "Bearer wrong", "Basic first", "Bearer first,", "Bearer é"])
def test_without_a_valid_key_nothing_is_answered(keyed: Running, header: str) -> None:
    answer = keyed.client.post("/v1/ask", json={"question": "hei"}, headers={b"authorization": header.encode()})
    assert answer.status_code == 401
    assert answer.json()["error"]["code"] == "invalid_api_key"


def test_each_key_opens(keyed: Running) -> None:
    for key in ("first", "second"):
        answer = keyed.client.post("/v1/ask", json={"question": "hei"}, headers={"authorization": f"Bearer {key}"})
        assert answer.status_code == 200


def test_probes_and_the_page_need_no_key_but_figures_do(keyed: Running) -> None:
    assert [keyed.client.get(path).status_code for path in ("/livez", "/readyz", "/", "/page/js/main.js")] == [200] * 4
    assert keyed.client.get("/metrics").status_code == 401


def test_a_client_that_asks_too_often_is_told_when_to_come_again() -> None:
    with running(application(rate="2/minute")) as up:
        answers = [up.ask() for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert 1 <= int(answers[-1].headers["retry-after"]) <= 60


def test_a_rate_holds_for_a_key_however_the_header_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QTTRAG_API_KEYS", "good,other")
    ways = ["Bearer good", "BEARER  good", "bearer   good", "Bearer good", "Bearer other"]
    with running(application(rate="3/minute")) as up:
        statuses = [up.client.get("/v1/models", headers={"authorization": way}).status_code for way in ways]
    assert statuses == [200, 200, 200, 429, 200]


def test_a_rate_without_keys_holds_for_an_address_whatever_the_header_is() -> None:
    with running(application(rate="3/minute")) as up:
        headers = [{"authorization": f"Bearer x{n}"} for n in range(4)]
        statuses = [up.client.get("/v1/models", headers=each).status_code for each in headers]
    assert statuses == [200, 200, 200, 429]


def test_attempts_with_invalid_keys_are_limited_and_valid_ones_go_on(keyed: Running) -> None:
    headers = [{"authorization": f"Bearer x{n}"} for n in range(40)]
    statuses = [keyed.client.get("/v1/models", headers=each).status_code for each in headers]
    assert statuses == [401] * 30 + [429] * 10
    assert keyed.client.get("/v1/models", headers={"authorization": "Bearer first"}).status_code == 200


def test_a_missing_key_is_answered_with_the_scheme(keyed: Running) -> None:
    assert keyed.client.get("/v1/models").headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("path", ["/", "/livez", "/v1/models", "/openapi.json"])
def test_head_is_get_without_a_body(path: str) -> None:
    with running(application()) as up:
        head, get = up.client.head(path), up.client.get(path)
    assert (head.status_code, head.text) == (200, "")
    assert head.headers["content-length"] == get.headers["content-length"]


def test_metrics_count_requests_stages_and_tags() -> None:
    with running(application()) as up:
        up.ask(strategy="qtt_rag")
        text = up.client.get("/metrics").text
    assert 'qttrag_requests_total{route="/v1/ask",status="200"} 1.0' in text
    assert 'qttrag_stage_seconds_count{stage="tag",strategy="qtt_rag"} 1.0' in text
    assert 'qttrag_stage_events_total{event="passages",stage="retrieve"} 3.0' in text


def test_a_request_id_is_the_clients_or_a_new_one() -> None:
    with running(application()) as up:
        assert up.client.get("/livez", headers={"x-request-id": "abc-1"}).headers["x-request-id"] == "abc-1"
        assert len(up.client.get("/livez", headers={"x-request-id": "a b\tc"}).headers["x-request-id"]) == 32


def test_the_log_has_a_line_a_request_without_its_question(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "qttrag.server"), running(application()) as up:
        up.ask("salainen kysymys")
    lines = [LogFormatter().format(record) for record in caplog.records if record.message == "request"]
    (line,) = [json.loads(line) for line in lines]
    assert (line["route"], line["status"]) == ("/v1/ask", 200)
    assert "salainen" not in "".join(lines)


def test_every_response_forbids_what_the_page_does_not_need() -> None:
    with running(application()) as up:
        headers = up.client.get("/").headers
    assert "script-src 'self'" in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.org"])
def test_an_address_that_others_reach_needs_keys_or_being_told_twice(host: str) -> None:
    result = CliRunner().invoke(app, ["serve", "-c", "paper", "--host", host, "--check"])
    assert isinstance(result.exception, ConfigError)
    assert "QTTRAG_API_KEYS" in str(result.exception)


def test_a_limit_that_is_not_as_it_must_be_is_named() -> None:
    result = CliRunner().invoke(app, ["serve", "-c", "paper", "--check", "--set", "server.in_flight=0"])
    assert "in_flight" in str(result.exception)
