"""A service without keys, and the web pages that a browser on the same machine may have open."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.server.running import Running, application, running

PAGE, APP = "https://page.example", "https://app.example"


@pytest.fixture(scope="module")
def service() -> Iterator[Running]:
    with running(application(allowed_hosts=["rag.lan"], origins=[APP])) as up:
        yield up


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8080", "localhost.evil.example", "127.0.0.1.nip.io", ""]
)
@pytest.mark.parametrize("path", ["/", "/v1/models", "/metrics", "/openapi.json"])
def test_a_name_of_somebody_else_is_not_answered_to(service: Running, host: str, path: str) -> None:
    reply = service.client.get(path, headers={"host": host})
    assert (reply.status_code, reply.json()["error"]["code"]) == (421, "unknown_host")


def test_no_passage_is_sent_to_a_name_of_somebody_else(service: Running) -> None:
    reply = service.client.post("/v1/retrieve", json={"question": "hei"}, headers={"host": "evil.example"})
    assert reply.status_code == 421
    assert "passages" not in reply.text


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:1", "127.0.0.1:8080", "[::1]:8080", "192.0.2.7", "rag.lan", "rag.lan."]
)
def test_own_names_and_addresses_are_answered_to(service: Running, host: str) -> None:
    assert service.client.get("/v1/models", headers={"host": host}).status_code == 200


def test_probes_need_no_name(service: Running) -> None:
    assert service.client.get("/livez", headers={"host": "10-0-0-7.cluster"}).status_code == 200


@pytest.mark.parametrize("origin", [PAGE, "null", "http://localhost:1", "http://127.0.0.1"])
@pytest.mark.parametrize("kind", ["application/json", "text/plain"])
def test_a_page_of_another_site_cannot_ask(service: Running, origin: str, kind: str) -> None:
    headers = {"origin": origin, "content-type": kind}
    reply = service.client.post("/v1/ask", content=b'{"question": "hei"}', headers=headers)
    assert (reply.status_code, reply.json()["error"]["code"]) == (403, "foreign_origin")


def test_the_own_page_and_the_sites_of_the_deployment_can_ask(service: Running) -> None:
    for origin in (service.url, APP):
        reply = service.client.post("/v1/ask", json={"question": "hei"}, headers={"origin": origin})
        assert reply.status_code == 200


def test_where_keys_are_needed_any_name_will_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QTTRAG_API_KEYS", "first")
    headers = {"authorization": "Bearer first", "host": "rag.example", "origin": "https://rag.example"}
    with running(application()) as up:
        assert up.client.post("/v1/ask", json={"question": "hei"}, headers=headers).status_code == 200


def test_a_page_that_may_ask_can_send_a_key_and_read_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QTTRAG_API_KEYS", "first")
    asks = {"access-control-request-method": "POST", "access-control-request-headers": "authorization"}
    with running(application(origins=[APP])) as up:
        preflight = up.client.options("/v1/ask", headers={"origin": APP, **asks})
        refused = up.client.post("/v1/ask", json={"question": "hei"}, headers={"origin": APP})
    assert preflight.status_code == 200
    assert (refused.status_code, refused.headers["access-control-allow-origin"]) == (401, APP)
