"""OpenTelemetry: one span per request and one per stage, sent with OTLP over HTTP if the environment says so.

Attributes are names, counts and statuses. They contain no question, passage, answer or key, and no error message, which
may quote them."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import qttrag
from qttrag.errors import ConfigError

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Tracer

    from qttrag.trace import Trace

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


def configured() -> bool:
    """Return whether the environment configures traces.

    Raises:
        ConfigError: the exporter or protocol is not supported, the address is invalid, or the extra is not
            installed."""
    endpoint = _first(_ENDPOINTS)
    exporter = os.environ.get("OTEL_TRACES_EXPORTER") or "otlp"
    off = os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true"
    if endpoint is None or exporter == "none" or off:
        return False
    protocol = _first(_PROTOCOLS) or "http/protobuf"
    if exporter != "otlp" or protocol != "http/protobuf":
        raise ConfigError(
            f"traces can be sent as otlp over http/protobuf only, not as {exporter} over {protocol}; "
            "unset OTEL_TRACES_EXPORTER and OTEL_EXPORTER_OTLP_PROTOCOL, or set OTEL_TRACES_EXPORTER=none"
        )
    address = urlsplit(endpoint)
    if address.scheme not in ("http", "https") or not address.hostname:
        raise ConfigError(f"{' or '.join(_ENDPOINTS)} must be an address such as http://127.0.0.1:4318")
    try:
        import opentelemetry.exporter.otlp.proto.http
        import opentelemetry.sdk.trace  # noqa: F401  checked before anything is served
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"OTEL_EXPORTER_OTLP_ENDPOINT is set and traces need the package '{error.name}'; "
            "pip install 'qttrag[tracing]', or unset it"
        ) from error
    return True


def _first(names: tuple[str, ...]) -> str | None:
    return next((os.environ[name] for name in names if os.environ.get(name)), None)


class Tracing:
    """Makes spans between `start` and `close`, if the environment configures traces.

    `stage` and `headers` implement `qttrag.trace.Spans`."""

    def __init__(self) -> None:
        """Raises ConfigError: see `configured`."""
        self._configured = configured()
        self._provider: TracerProvider | None = None
        self._tracer: Tracer | None = None

    def start(self) -> None:
        if not self._configured:
            return
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor

        self._provider = TracerProvider(resource=_resource(), shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        self._tracer = self._provider.get_tracer("qttrag", qttrag.__version__)

    def close(self) -> None:
        """Send the remaining spans and stop; may take as long as the exporter's timeout."""
        provider, self._provider, self._tracer = self._provider, None, None
        if provider is not None:
            provider.shutdown()

    @contextmanager
    def request(self, method: str, headers: Mapping[bytes, bytes]) -> Iterator[dict[str, Any]]:
        """Yield a dict for the `route`, `status` and `request_id` of the request that the block answers.

        The span continues the caller's trace if there is a `traceparent`."""
        attributes: dict[str, Any] = {}
        if self._tracer is None:
            yield attributes
            return
        from opentelemetry.trace import SpanKind, StatusCode
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        carrier = {name.decode("latin-1"): value.decode("latin-1") for name, value in headers.items()}
        name = method if method in _METHODS else "HTTP"  # other methods are text from the client
        with self._tracer.start_as_current_span(
            name,
            context=TraceContextTextMapPropagator().extract(carrier),
            kind=SpanKind.SERVER,
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            try:
                yield attributes
            finally:
                route, status = attributes["route"], attributes["status"]
                span.update_name(f"{name} {route}" if route else name)
                span.set_attribute("http.request.method", "_OTHER" if name == "HTTP" else name)
                span.set_attribute("http.response.status_code", status)
                span.set_attribute("qttrag.request_id", attributes["request_id"])
                if route:
                    span.set_attribute("http.route", route)
                if status >= 500:
                    span.set_attribute("error.type", str(status))
                    span.set_status(StatusCode.ERROR)

    @contextmanager
    def stage(self, trace: Trace, name: str) -> Iterator[None]:
        if self._tracer is None:
            yield
            return
        from opentelemetry.trace import StatusCode

        before = Counter(trace.counts)
        with self._tracer.start_as_current_span(name, record_exception=False, set_status_on_exception=False) as span:
            try:
                yield
            except Exception as error:
                span.set_attribute("error.type", type(error).__name__)
                span.set_status(StatusCode.ERROR)
                raise
            finally:
                for counted, n in (trace.counts - before).items():
                    span.set_attribute(f"qttrag.{counted}", n)

    def headers(self) -> dict[str, str]:
        if self._tracer is None:
            return {}
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        carried: dict[str, str] = {}
        TraceContextTextMapPropagator().inject(carried)
        return carried


def _resource() -> Any:
    """Return who sends: as the environment names it, else qttrag."""
    from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, Resource

    given = Resource.create({SERVICE_VERSION: qttrag.__version__})
    unnamed = str(given.attributes[SERVICE_NAME]).startswith("unknown_service")
    return given.merge(Resource({SERVICE_NAME: "qttrag"})) if unnamed else given
