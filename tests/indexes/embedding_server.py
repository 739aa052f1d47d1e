"""An encoder served over `/v1/embeddings` on loopback, like vLLM and TEI."""

from __future__ import annotations

import asyncio
import base64
import threading
import time
from pathlib import Path
from typing import Any, Self

import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

from qttrag.encoders.sentence_transformers import SentenceTransformersEncoder


class EmbeddingServer:
    """`asked`: the texts of each request that succeeded; `fields`: its other fields, but for model and format.
    `largest`: texts that it accepts in one. `as_numbers`: it does not support base64. `falls`: requests after which
    every one fails with HTTP 503; `refused` counts these. `seconds`: for each text, one after another, also for
    requests whose client has left. `at_once`: after the first request, which probes it, requests are answered when so
    many have arrived."""

    def __init__(
        self,
        model: Path,
        *,
        largest: int = 1000,
        as_numbers: bool = False,
        falls: int = 10**9,
        seconds: float = 0.0,
        at_once: int = 1,
    ) -> None:
        self.asked: list[list[str]] = []
        self.fields: list[dict[str, Any]] = []
        self.refused = 0
        self._encoder = SentenceTransformersEncoder(str(model), revision=None, device="cpu", max_tokens=512)
        self._largest = largest
        self._as_numbers = as_numbers
        self._falls = falls
        self._seconds = seconds
        self._at_once = at_once
        self._lock = threading.Lock()
        app = FastAPI()
        app.post("/v1/embeddings")(self._answer)
        self._server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="critical"))
        self._thread = threading.Thread(target=self._server.run, daemon=True)

    async def _answer(self, request: Request) -> JSONResponse:
        body = await request.json()
        if body["model"] != "acme/encoder":
            return JSONResponse({"error": {"message": f"no model {body['model']}"}}, 404)
        if len(body["input"]) > self._largest:
            return JSONResponse({"error": {"message": f"batch size > maximum allowed {self._largest}"}}, 422)
        with self._lock:
            if len(self.asked) >= self._falls:
                self.refused += 1
                return JSONResponse({"error": {"message": "going down"}}, 503)
            self.asked.append(body["input"])
            self.fields.append({k: v for k, v in body.items() if k not in {"model", "input", "encoding_format"}})
            time.sleep(self._seconds * len(body["input"]))
        while self._at_once > 1 and 1 < len(self.asked) <= self._at_once:
            await asyncio.sleep(0.01)
        with self._lock:
            vectors = 3 * self._encoder.encode(body["input"])  # not every server normalises
        data = [{"object": "embedding", "index": n, "embedding": self._encoded(row)} for n, row in enumerate(vectors)]
        return JSONResponse({"object": "list", "data": data[::-1], "model": body["model"], "usage": {}})

    def _encoded(self, row: Any) -> Any:
        return row.tolist() if self._as_numbers else base64.b64encode(row.astype("<f4").tobytes()).decode()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.servers[0].sockets[0].getsockname()[1]}/v1"

    def __enter__(self) -> Self:
        self._thread.start()
        while not self._server.started:
            time.sleep(0.01)
        return self

    def __exit__(self, *error: object) -> None:
        self._server.should_exit = True
        self._thread.join()
