"""The middleware of every request: id, keys, rates, body size, metrics, logs, spans."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import TYPE_CHECKING, Any, NamedTuple

from asgi_correlation_id import CorrelationIdMiddleware
from pythonjsonlogger.core import RESERVED_ATTRS, LogData
from pythonjsonlogger.json import JsonFormatter

from qttrag.server.errors import RequestRejected, request_id, response_to

if TYPE_CHECKING:
    from qttrag.server.admission import Clients
    from qttrag.server.metrics import Metrics
    from qttrag.server.origins import HostCheck
    from qttrag.server.tracing import Tracing

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
_LOG = logging.getLogger("qttrag.server")
_PROBES = frozenset({"/livez", "/readyz"})  # without keys
_PAGE_FILES = "/page/"  # without keys, as the page itself
_UPLOAD = re.compile(r"/v1/collections/[^/]+/documents")
_ID = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_HEADERS = [
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
    (
        b"content-security-policy",
        b"default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
        b"base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
]


class BodyLimits(NamedTuple):
    """Of the body of a request: its bytes, and the seconds until it is complete."""

    most: int
    timeout: float


class RequestMiddleware:
    """ASGI middleware: names and origins, keys, rate, size of the body, metrics, one log line and one span per request.

    Questions, passages and keys are not logged. Probes have no spans."""

    def __init__(
        self,
        app: Any,
        *,
        clients: Clients,
        hosts: HostCheck,
        bodies: BodyLimits,
        uploads: BodyLimits,
        metrics: Metrics,
        tracing: Tracing,
    ) -> None:
        self._app = app
        self._clients = clients
        self._hosts = hosts
        self._bodies = bodies
        self._uploads = uploads
        self._metrics = metrics
        self._tracing = tracing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if scope["method"] == "HEAD":  # as GET; the HTTP server leaves out the body
            scope = {**scope, "method": "GET"}
        headers = dict(scope["headers"])
        if scope["path"] in _PROBES:
            await self._serve(scope, receive, send, headers)
            return
        with self._tracing.request(scope["method"], headers) as attributes:
            attributes["request_id"] = request_id()
            attributes["status"] = 500
            try:
                attributes["status"] = await self._serve(scope, receive, send, headers)
            finally:
                attributes["route"] = _route(scope)

    async def _serve(self, scope: Scope, receive: Receive, send: Send, headers: dict[bytes, bytes]) -> int:
        """Answer the request and return its status."""
        started, status, responding = time.perf_counter(), 500, False

        async def respond(message: MutableMapping[str, Any]) -> None:
            nonlocal status, responding
            if message["type"] == "http.response.start":
                status, responding = message["status"], True
                message["headers"] = [*message["headers"], *_HEADERS]
            await send(message)

        try:
            await self._check(scope, headers)
            await self._app(scope, _limited(receive, self._limits(scope)), respond)
        except Exception as error:  # any that leaves here would close the connection, which the client may reuse
            if responding:
                raise
            await _send_error(error, respond)
        finally:
            seconds = time.perf_counter() - started
            route = _route(scope) or "unknown"
            self._metrics.requests.labels(route, str(status)).inc()
            self._metrics.request_seconds.labels(route).observe(seconds)
            _LOG.info(
                "request",
                extra={
                    "request_id": request_id(),
                    "method": scope["method"],
                    "route": route,
                    "status": status,
                    "seconds": round(seconds, 4),
                },
            )
        return status

    async def _check(self, scope: Scope, headers: dict[bytes, bytes]) -> None:
        path = scope["path"]
        if b"content-length" in headers and b"transfer-encoding" in headers:
            problem = "content-length and transfer-encoding exclude each other; send one"  # a proxy may read the other
            raise RequestRejected(400, "ambiguous_length", problem, closes=True)
        if path in _PROBES:
            return
        self._hosts.check(scope["method"], headers)
        if path == "/" or path.startswith(_PAGE_FILES):
            return
        client = scope.get("client")
        address = client[0] if client else "unknown"
        await self._clients.check(headers.get(b"authorization", b"").decode("latin-1"), address)
        length = headers.get(b"content-length", b"0")
        most = self._limits(scope).most
        if length.isdigit() and int(length) > most:
            raise _too_large(most)

    def _limits(self, scope: Scope) -> BodyLimits:
        is_upload = scope["method"] == "POST" and _UPLOAD.fullmatch(scope["path"]) is not None
        return self._uploads if is_upload else self._bodies


def _limited(receive: Receive, limits: BodyLimits) -> Receive:
    """Return `receive`, with an error for a body that is too large or too slow."""
    read, is_complete = 0, False
    end = asyncio.get_running_loop().time() + limits.timeout

    async def limited() -> MutableMapping[str, Any]:
        nonlocal read, is_complete
        try:
            async with asyncio.timeout_at(None if is_complete else end):
                message = await receive()
        except TimeoutError as error:
            problem = f"the body was not complete after {limits.timeout:g} s; send it faster"
            raise RequestRejected(408, "slow_body", problem, closes=True) from error
        is_complete = is_complete or not message.get("more_body", False)
        read += len(message.get("body", b""))
        if read > limits.most:
            raise _too_large(limits.most)
        return message

    return limited


def with_request_ids(app: Any) -> CorrelationIdMiddleware:
    """Return `app` with an id for each request: the client's x-request-id if it is a valid one, else a new one."""
    return CorrelationIdMiddleware(app, validator=lambda value: _ID.fullmatch(value) is not None)


def _route(scope: Scope) -> str | None:
    """Return the template that matched the path, such as "/v1/models/{name}", or None."""
    return getattr(scope.get("route"), "path", None)


def _too_large(limit: int) -> RequestRejected:
    return RequestRejected(413, "too_large", f"the body exceeds the limit of {limit} bytes; send less", closes=True)


async def _send_error(error: Exception, send: Send) -> None:
    """Send the error as the whole response."""
    status, body, extra = response_to(error)
    headers = [(b"content-type", b"application/json"), *((k.encode(), v.encode()) for k, v in extra.items())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": json.dumps(body, ensure_ascii=False).encode()})


class LogFormatter(JsonFormatter):
    """One JSON object per line: time, level, logger, message, the extra fields, and the traceback as `error`."""

    def __init__(self) -> None:
        super().__init__(
            ["asctime", "levelname", "name", "message"],
            datefmt="%Y-%m-%dT%H:%M:%S%z",
            rename_fields={"asctime": "time", "levelname": "level", "name": "logger", "exc_info": "error"},
            rename_fields_keep_missing=False,
            json_ensure_ascii=False,
            json_default=str,
            reserved_attrs=[*RESERVED_ATTRS, "color_message"],
        )

    def process_log_record(self, log_data: LogData) -> LogData:
        log_data["level"] = str(log_data["level"]).lower()
        return log_data
