"""Traces, sent to a collector that really listens."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from typer.testing import CliRunner

from qttrag.cli import app
from qttrag.errors import ConfigError
from qttrag.generators.openai import OpenAIGenerator
from qttrag.server import create_app
from tests.openai_client.server import Server, text_reply
from tests.server.running import PASSAGES, BrokenGenerator, Running, application, running

pytest.importorskip("opentelemetry.sdk", reason="the extra 'tracing' is not installed")

TRACE, CALLER = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
CALLED = {"traceparent": f"00-{TRACE}-{CALLER}-01"}
SECRET = "Kenen salaisuus tämä on?"


class Collector:
    """Takes spans by OTLP over HTTP. `sent`: every body as it came."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                assert self.path == "/v1/traces"
                outer.sent.append(self.rfile.read(int(self.headers["content-length"])))
                self.send_response(200)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *args: object) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    @property
    def resources(self) -> list[Any]:
        from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

        return [each for body in self.sent for each in ExportTraceServiceRequest.FromString(body).resource_spans]

    @property
    def spans(self) -> dict[str, Any]:
        """The spans by name."""
        return {span.name: span for each in self.resources for scope in each.scope_spans for span in scope.spans}


def attributes(of: Any) -> dict[str, Any]:
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in of.attributes}


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    made = Collector()
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{made.server.server_port}")
    yield made
    made.server.shutdown()
    made.server.server_close()


def asked(up: Running, **more: Any) -> str:
    """Ask with a caller's trace and return the id of the request."""
    body = {"question": SECRET, "strategy": "qtt_rag", **more}
    return up.client.post("/v1/ask", json=body, headers=CALLED).headers["x-request-id"]


@pytest.mark.parametrize("stream", [False, True])
def test_a_request_is_a_span_in_the_trace_of_its_caller(collector: Collector, stream: bool) -> None:
    with running(application()) as up:
        request_id = asked(up, stream=stream)
    span = collector.spans["POST /v1/ask"]
    assert (span.trace_id.hex(), span.parent_span_id.hex()) == (TRACE, CALLER)
    assert span.kind == span.SPAN_KIND_SERVER
    assert attributes(span) == {
        "http.request.method": "POST",
        "http.route": "/v1/ask",
        "http.response.status_code": 200,
        "qttrag.request_id": request_id,
    }
    (resource,) = [each.resource for each in collector.resources]
    assert attributes(resource)["service.name"] == "qttrag"


@pytest.mark.parametrize("stream", [False, True])
def test_stages_are_spans_of_their_request_with_what_they_counted(collector: Collector, stream: bool) -> None:
    with running(application()) as up:
        asked(up, stream=stream)
    spans = collector.spans
    request = spans.pop("POST /v1/ask")
    assert {"detect", "retrieve", "rerank", "translate", "tag", "answer"} == spans.keys()
    for span in spans.values():
        assert (span.trace_id, span.parent_span_id) == (request.trace_id, request.span_id)
        assert request.start_time_unix_nano <= span.start_time_unix_nano
        assert span.end_time_unix_nano <= request.end_time_unix_nano
    assert attributes(spans["retrieve"]) == {"qttrag.retrieve.passages": 3}


def test_tokens_are_told_and_calls_to_servers_carry_the_trace(collector: Collector) -> None:
    with Server(text_reply("Helsinki.")) as upstream:
        generator = OpenAIGenerator("m", base_url=upstream.base_url)
        with running(application(generator)) as up:
            asked(up, strategy="base")
    answer = collector.spans["answer"]
    assert attributes(answer)["qttrag.answer.prompt_tokens"] == 7
    assert attributes(answer)["qttrag.answer.completion_tokens"] == 1
    assert upstream.traceparents == [f"00-{TRACE}-{answer.span_id.hex()}-01"]


def test_what_fails_is_an_error_without_its_words(collector: Collector) -> None:
    with running(application(BrokenGenerator(words=1))) as up:
        asked(up)
    spans = collector.spans
    for name in ("answer", "POST /v1/ask"):
        assert spans[name].status.code == spans[name].status.STATUS_CODE_ERROR
        assert not spans[name].status.message
        assert not spans[name].events
    assert attributes(spans["answer"])["error.type"] == "StageError"
    assert attributes(spans["POST /v1/ask"])["http.response.status_code"] == 503


def test_no_span_holds_a_question_a_passage_or_a_key(collector: Collector, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QTTRAG_API_KEYS", "avain-123")
    with running(application()) as up:
        up.client.headers["authorization"] = "Bearer avain-123"
        asked(up)
        up.ask(SECRET, lang="salaisuus")
        up.client.get("/v1/models/salaisuus")
        up.client.get("/salaisuus", params={"question": SECRET})
        up.client.request("SALAISUUS", "/v1/ask")
        up.client.get("/v1/models", headers={"authorization": "Bearer salaisuus"})
    names = {"POST /v1/ask", "GET /v1/models/{name}", "GET", "HTTP /v1/ask"}
    assert names <= collector.spans.keys()
    sent = b"".join(collector.sent)
    told = ["salaisuus", "SALAISUUS", "avain", "It is Helsinki", *(passage.text for passage in PASSAGES)]
    assert [words for words in told if words.encode() in sent] == []


def test_probes_have_no_spans(collector: Collector) -> None:
    with running(application()) as up:
        up.client.get("/livez")
        up.client.get("/readyz")
        asked(up)
    assert not [name for name in collector.spans if name.endswith("z")]


@pytest.mark.parametrize(
    ("name", "value"),
    [("OTEL_SDK_DISABLED", "true"), ("OTEL_TRACES_EXPORTER", "none"), ("OTEL_EXPORTER_OTLP_ENDPOINT", "")],
)
def test_traces_can_be_off(collector: Collector, monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    with Server(text_reply("Helsinki.")) as upstream:
        served = application(OpenAIGenerator("m", base_url=upstream.base_url))
        with running(served) as up:
            asked(up, strategy="base")
    assert collector.sent == []
    assert upstream.traceparents == [None]


def test_a_collector_that_is_down_costs_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1")  # seconds that shutting down may take
    with running(application()) as up:
        assert up.ask().status_code == 200


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc", "not as otlp over grpc"),
        ("OTEL_TRACES_EXPORTER", "zipkin", "not as zipkin"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4318", "must be an address"),
    ],
)
def test_what_cannot_be_sent_is_said_before_anything_is_served(
    collector: Collector, monkeypatch: pytest.MonkeyPatch, name: str, value: str, words: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError, match=words):
        create_app(application=application())


def test_where_the_extra_is_missing_it_is_named(collector: Collector, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)  # what importing it then raises is the real thing
    result = CliRunner().invoke(app, ["serve", "-c", "paper", "--check"])
    assert isinstance(result.exception, ConfigError)
    assert "pip install 'qttrag[tracing]'" in str(result.exception)


def test_check_says_that_traces_are_sent(collector: Collector) -> None:
    assert "sends traces" in CliRunner().invoke(app, ["serve", "-c", "paper", "--check"]).output
