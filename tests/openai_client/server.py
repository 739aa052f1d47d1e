"""A scripted OpenAI-compatible server on loopback: each request gets the next reply of a list."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


def chunk(
    content: str | None = None,
    finish: str | None = None,
    usage: dict[str, int] | None = None,
    alternatives: dict[str, float] | None = None,
) -> bytes:
    choice = {"index": 0, "delta": {"content": content} if content else {}, "finish_reason": finish}
    if alternatives is not None:
        top = [{"token": text, "logprob": value, "bytes": None} for text, value in alternatives.items()]
        token = {"token": content, "logprob": alternatives[content or ""], "bytes": None, "top_logprobs": top}
        choice["logprobs"] = {"content": [token]}
    choices = [choice]
    body = {
        "id": "x", "object": "chat.completion.chunk", "created": 1, "model": "m",
        "choices": [] if usage else choices, "usage": usage,
    }  # fmt: skip
    return b"data: " + json.dumps(body).encode() + b"\n\n"


class Reply:
    """One reply: a status, headers and a body sent part by part, with `pause` seconds between parts."""

    def __init__(
        self,
        *parts: bytes,
        status: int = 200,
        kind: str = "text/event-stream",
        pause: float = 0.0,
        headers: dict[str, str] | None = None,
    ) -> None:
        self.parts: Iterable[bytes] = parts
        self.status = status
        self.kind = kind
        self.pause = pause
        self.headers = headers or {}


def text_reply(*pieces: str, finish: str = "stop") -> Reply:
    usage = {"prompt_tokens": 7, "completion_tokens": len(pieces), "total_tokens": 7 + len(pieces)}
    return Reply(*(chunk(piece) for piece in pieces), chunk(finish=finish), chunk(usage=usage), b"data: [DONE]\n\n")


def embeddings(*vectors: list[float]) -> Reply:
    data = [{"object": "embedding", "index": n, "embedding": vector} for n, vector in enumerate(vectors)]
    body = {"object": "list", "data": data, "model": "m", "usage": {"prompt_tokens": 1, "total_tokens": 1}}
    return Reply(json.dumps(body).encode(), kind="application/json")


def failure(status: int, message: str = "no", headers: dict[str, str] | None = None) -> Reply:
    body = json.dumps({"error": {"message": message, "type": "t", "code": None}}).encode()
    return Reply(body, status=status, kind="application/json", headers=headers)


class _Listening(ThreadingHTTPServer):
    request_queue_size = 128  # so that no call of many at once is rejected


class Server:
    """Sends `replies` in order and repeats the last one. `requests`: the bodies received; `traceparents`: headers.

    `metrics`: the page /metrics; None: there is none."""

    def __init__(
        self, *replies: Reply | Callable[[dict[str, Any]], Reply], port: int = 0, metrics: str | None = None
    ) -> None:
        self.requests: list[dict[str, Any]] = []
        self.keys: list[str | None] = []
        self.traceparents: list[str | None] = []
        self.disconnected = threading.Event()
        self._replies = list(replies)
        self._lock = threading.Lock()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = json.dumps({"object": "list", "data": [{"id": "served-model", "object": "model"}]}).encode()
                is_metrics = self.path == "/metrics"
                if is_metrics:
                    body = (metrics or "").encode()
                self.send_response(404 if is_metrics and metrics is None else 200)
                self.send_header("content-type", "text/plain" if is_metrics else "application/json")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                outer.keys.append(self.headers["authorization"])
                outer.traceparents.append(self.headers["traceparent"])
                reply = outer._next(body)
                self.send_response(reply.status)
                self.send_header("content-type", reply.kind)
                for name, value in reply.headers.items():
                    self.send_header(name, value)
                self.end_headers()
                try:
                    for part in reply.parts:
                        self.wfile.write(part)
                        self.wfile.flush()
                        time.sleep(reply.pause)
                except OSError:
                    outer.disconnected.set()

            def log_message(self, *args: object) -> None:
                """Log nothing."""

        self._server = _Listening(("127.0.0.1", port), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)

    def _next(self, body: dict[str, Any]) -> Reply:
        with self._lock:
            self.requests.append(body)
            reply = self._replies.pop(0) if len(self._replies) > 1 else self._replies[0]
        return reply if isinstance(reply, Reply) else reply(body)

    @property
    def port(self) -> int:
        return int(self._server.server_port)

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}/v1"

    def __enter__(self) -> Server:
        self._thread.start()
        return self

    def __exit__(self, *args: object) -> None:
        self._server.shutdown()
        self._server.server_close()
