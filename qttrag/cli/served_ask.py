"""`qttrag ask` through a server: the request and the events of `/v1/ask`."""

from __future__ import annotations

import http.client
import json
import os
import socket
from collections.abc import Callable, Iterator
from typing import Any, NoReturn, cast
from urllib.parse import urlsplit

from qttrag.application.serialization import answer_from_dict
from qttrag.errors import ConfigError, InputError, QttragError, StageError, StageUnavailable
from qttrag.types import Answer, AskRequest, Event, EventKind

KEY = "QTTRAG_API_KEY"
"""The environment variable with the key for the server of a URL."""

_BUSY = frozenset({"overloaded", "rate_limited", "not_ready", "shutting_down"})


class ServerBusy(QttragError):
    """The server takes no question now; the message says why."""

    exit_code = 4


class _SocketConnection(http.client.HTTPConnection):
    """HTTP over a socket that is connected already."""

    def __init__(self, connected: socket.socket) -> None:
        super().__init__("localhost")
        self.sock = connected


def over_socket(connected: socket.socket) -> http.client.HTTPConnection:
    return _SocketConnection(connected)


def over_url(url: str) -> tuple[http.client.HTTPConnection, str]:
    """Return a connection to the server at a URL, and the path before `/v1/ask`.

    Raises:
        InputError: it is no URL of HTTP."""
    parts = urlsplit(url if "://" in url else f"http://{url}")
    try:
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if parts.scheme not in ("http", "https") or not host:
        raise InputError(f"--server '{url}': give auto, off, or a URL such as http://127.0.0.1:8080")
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    return kind(host, port), parts.path.rstrip("/")


def ask(
    connection: http.client.HTTPConnection, request: AskRequest, on_event: Callable[[Event], None], *, path: str = ""
) -> Answer:
    """Return the answer of a server. Notes have their public texts only; the rest is in the server's log.

    Raises:
        ServerBusy: it takes no question now.
        InputError: it refuses the request.
        StageError: it failed, or the connection did."""
    try:
        connection.request("POST", f"{path}/v1/ask", json.dumps(_body(request)), _headers())
        response = connection.getresponse()
        if response.status != http.client.OK:
            _raise(response.status, _error(response.read()))
        for kind, data in _events(response):
            if kind == "end":
                return answer_from_dict(data)
            if kind == "error":
                _raise(response.status, {**data["error"], "code": None})  # too late to ask elsewhere
            on_event(Event(cast(EventKind, kind), text=data.get("text") or data.get("reason") or ""))
    except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError) as error:
        raise StageUnavailable("server", f"no valid answer ({type(error).__name__}: {error}); see its log") from error
    finally:
        connection.close()
    raise StageUnavailable("server", "the connection ended before the answer; see its log")


def _headers() -> dict[str, str]:
    key = os.environ.get(KEY)
    return {"content-type": "application/json"} | ({"authorization": f"Bearer {key}"} if key else {})


def _body(request: AskRequest) -> dict[str, Any]:
    fields = {
        "question": request.question,
        "lang": request.lang,
        "strategy": request.strategy,
        "options": dict(request.options),
        "collections": None if request.collections is None else list(request.collections),
        "answer_style": request.answer_style,
        "depth": request.limits.depth,
        "top_k": request.limits.top_k,
    }
    return {"stream": True, **{name: value for name, value in fields.items() if value is not None}}


def _events(response: http.client.HTTPResponse) -> Iterator[tuple[str, Any]]:
    """Yield the name and the data of each server-sent event; comments keep the connection open only."""
    name = ""
    while line := response.readline():
        field, _, value = line.decode("utf-8").rstrip("\r\n").partition(": ")
        if field == "event":
            name = value
        elif field == "data":
            yield name, json.loads(value)


def _error(body: bytes) -> dict[str, Any]:
    try:
        error: dict[str, Any] = json.loads(body)["error"]
    except (ValueError, KeyError, TypeError):
        error = {"message": body.decode("utf-8", "replace")[:200] or "no reason given"}
    return error


def _raise(status: int, error: dict[str, Any]) -> NoReturn:
    message = str(error.get("message"))
    if error.get("code") in _BUSY:
        raise ServerBusy(f"the server is busy: {message}")
    if status == http.client.UNAUTHORIZED:
        raise ConfigError(f"the server needs a key: {message}; set {KEY}")
    if error.get("type") == "invalid_request_error":
        raise InputError(message)
    raise StageError(str(error.get("stage") or "server"), f"{message}; see the server's log")
