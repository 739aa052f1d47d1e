"""Around every request: its id, who may come in, how much they may send, what is counted and logged."""

from __future__ import annotations

import json
import logging
import re
import time
import uuid
from collections.abc import Awaitable, Callable, MutableMapping
from typing import TYPE_CHECKING, Any

from qttrag.server.errors import ErrorBody, Refusal, told

if TYPE_CHECKING:
    from qttrag.server.admission import Keys, Rate
    from qttrag.server.metrics import Metrics
    from qttrag.server.tracing import Tracing

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
_LOG = logging.getLogger("qttrag.server")
_OPEN = frozenset({"/livez", "/readyz"})  # for probes, which have no key
_PAGE = frozenset({"/", "/page.js", "/page.css"})
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


class Gate:
    """ASGI middleware: request id, keys, rate, size of the body, metrics, a line of log and a span a request.

    Nothing of a question, passage or key is logged. Probes have no spans."""

    def __init__(
        self, app: Any, *, keys: Keys, rate: Rate, max_body_bytes: int, metrics: Metrics, tracing: Tracing
    ) -> None:
        self._app = app
        self._keys = keys
        self._rate = rate
        self._max_body_bytes = max_body_bytes
        self._metrics = metrics
        self._tracing = tracing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        given = headers.get(b"x-request-id", b"").decode("latin-1")
        request_id = given if _ID.fullmatch(given) else uuid.uuid4().hex
        scope.setdefault("state", {})["request_id"] = request_id
        if scope["path"] in _OPEN:
            await self._serve(scope, receive, send, headers, request_id)
            return
        with self._tracing.request(scope["method"], headers) as about:
            about["request_id"] = request_id
            about["status"] = 500
            try:
                about["status"] = await self._serve(scope, receive, send, headers, request_id)
            finally:
                about["route"] = _route(scope)

    async def _serve(
        self, scope: Scope, receive: Receive, send: Send, headers: dict[bytes, bytes], request_id: str
    ) -> int:
        """Answer the request and return its status."""
        started, status = time.perf_counter(), 500

        async def answer(message: MutableMapping[str, Any]) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], *_HEADERS, (b"x-request-id", request_id.encode())]
            await send(message)

        try:
            self._check(scope, headers)
            await self._app(scope, _limited(receive, self._max_body_bytes), answer)
        except Refusal as refusal:
            await refuse(refusal, request_id, answer)
        finally:
            seconds = time.perf_counter() - started
            route = _route(scope) or "unknown"
            self._metrics.requests.labels(route, str(status)).inc()
            self._metrics.request_seconds.labels(route).observe(seconds)
            _LOG.info(
                "request",
                extra={
                    "request_id": request_id,
                    "method": scope["method"],
                    "route": route,
                    "status": status,
                    "seconds": round(seconds, 4),
                },
            )
        return status

    def _check(self, scope: Scope, headers: dict[bytes, bytes]) -> None:
        path = scope["path"]
        if path in _OPEN or path in _PAGE:
            return
        authorization = headers.get(b"authorization", b"").decode("latin-1")
        self._keys.check(authorization)
        client = scope.get("client")
        self._rate.check(authorization or (client[0] if client else "unknown"))
        length = headers.get(b"content-length", b"0")
        if length.isdigit() and int(length) > self._max_body_bytes:
            raise _too_large(self._max_body_bytes)


def _route(scope: Scope) -> str | None:
    """Return the template that the path was matched to, "/v1/models/{name}"; None: to none."""
    return getattr(scope.get("route"), "path", None)


def _too_large(limit: int) -> Refusal:
    return Refusal(413, "too_large", f"the request's body is larger than {limit} bytes; send less")


def _limited(receive: Receive, limit: int) -> Receive:
    read = 0

    async def limited() -> MutableMapping[str, Any]:
        nonlocal read
        message = await receive()
        read += len(message.get("body", b""))
        if read > limit:
            raise _too_large(limit)
        return message

    return limited


async def refuse(error: Exception, request_id: str, send: Send) -> None:
    """Send the error as the whole response."""
    status, problem, after = told(error)
    body = ErrorBody(error=problem.model_copy(update={"request_id": request_id})).model_dump_json(exclude_none=True)
    headers = [(b"content-type", b"application/json")]
    if after is not None:
        headers.append((b"retry-after", str(int(after)).encode()))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body.encode()})


class JsonFormatter(logging.Formatter):
    """One JSON object a line."""

    _OWN = frozenset(vars(logging.makeLogRecord({})))

    def format(self, record: logging.LogRecord) -> str:
        fields = {key: value for key, value in vars(record).items() if key not in self._OWN and key != "color_message"}
        line = {
            "time": self.formatTime(record, "%Y-%m-%dT%H:%M:%S%z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **fields,
        }
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)
