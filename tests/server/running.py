"""A service that really runs, on loopback, over fakes that answer at once or as slowly as told."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar, NamedTuple

import httpx2
import numpy as np
import uvicorn
from fastapi import FastAPI

from qttrag.application.application import Application
from qttrag.config.deployment import Deployment
from qttrag.errors import BrokenOff, StageError, StageUnavailable
from qttrag.pipeline.stages import Stages
from qttrag.prompts import Prompts
from qttrag.server import create_app
from qttrag.server.http_protocol import TimedProtocol
from qttrag.testing import FakeDetector, FakeGenerator, FakeReranker, FakeRetriever, FakeTagger, FakeTranslator
from qttrag.types import (
    Decoding,
    Embedded,
    Embeddings,
    EncoderInfo,
    Hit,
    Lang,
    Message,
    Passage,
    Query,
    TextRole,
    Translation,
)

PASSAGES = [
    Passage("fi-1", "Helsinki on Suomen pääkaupunki.", Lang("fi"), "Helsinki"),
    Passage("ko-1", "서울은 대한민국의 수도이다.", Lang("ko"), "서울"),
    Passage("en-1", "<script>alert('x')</script> The capital is Turku.", Lang("en"), "<b>Turku</b>"),
]


class DividedRetriever(FakeRetriever):
    """Three collections, each with the passages of one language."""

    collections: ClassVar[list[str]] = ["wiki-fi", "wiki-ko", "wiki-en"]

    async def retrieve(self, query: Query, k: int) -> list[Hit]:
        hits = await super().retrieve(query, k)
        return [hit for hit in hits if query.collections is None or f"wiki-{hit.passage.lang}" in query.collections]


class EmbeddingRetriever(FakeRetriever):
    """Its vectors are [length of the text with its prefix, 1], its tokens are words, of which it reads four."""

    async def embed(self, texts: Sequence[str], role: TextRole | None) -> Embeddings:
        vectors = [np.array([len(text) + len(f"{role}: " if role else ""), 1], "float32") for text in texts]
        embedded = [Embedded(vector, len(text.split())) for vector, text in zip(vectors, texts, strict=True)]
        return Embeddings(embedded, EncoderInfo("/srv/models/small-encoder", "1", 2, max_tokens=4))


class SlowGenerator(FakeGenerator):
    """Waits before every word; notes whether it was given up."""

    def __init__(self, pause: float, reply: Callable[[Sequence[Message]], str] = lambda messages: "yes it is") -> None:
        super().__init__(reply)
        self.pause = pause
        self.given_up = threading.Event()

    async def generate(self, messages: Sequence[Message], decoding: Decoding) -> AsyncIterator[str]:
        try:
            async for word in super().generate(messages, decoding):
                await asyncio.sleep(self.pause)
                yield word
        except (asyncio.CancelledError, GeneratorExit):
            self.given_up.set()
            raise


class BrokenGenerator(FakeGenerator):
    """Says two words and then fails, or fails at once."""

    def __init__(self, *, words: int, later: bool = False) -> None:
        super().__init__()
        self.words = words
        self.error = StageUnavailable if later else StageError

    async def generate(self, messages: Sequence[Message], decoding: Decoding) -> AsyncIterator[str]:
        for _ in range(self.words):
            yield "half "
        raise self.error("generator", "http://127.0.0.1:9 went away")


class BrokenOffOnce(FakeGenerator):
    """Breaks off after a word, the first or a later time, and says all of it when asked again."""

    def __init__(self, time: int = 1) -> None:
        super().__init__()
        self.time = time

    async def generate(self, messages: Sequence[Message], decoding: Decoding) -> AsyncIterator[str]:
        self.seen.append((list(messages), decoding))
        if len(self.seen) == self.time:
            yield "half"
            raise BrokenOff("generator", "the stream stopped")
        yield "all of it"


class DownTranslator(FakeTranslator):
    """Cannot be reached."""

    async def translate(self, texts: Sequence[str], source: Sequence[Lang], target: Lang) -> list[Translation]:
        raise StageUnavailable("translator", "cannot be reached")


def application(
    generator: Any = None,
    translator: FakeTranslator | None = None,
    retriever: type[FakeRetriever] = FakeRetriever,
    **server: Any,
) -> Application:
    """An application of fakes; `server`: its limits."""
    deployment = Deployment(retriever={"kind": "fake"}, generator={"kind": "fake"}, server=server)  # type: ignore[arg-type]
    stages = Stages(
        retriever=retriever(PASSAGES),
        reranker=FakeReranker(),
        translator=translator or FakeTranslator(),
        tagger=FakeTagger(),
        generator=generator or FakeGenerator(lambda messages: "It is Helsinki [1]."),
        prompts=Prompts(),
    )
    return Application(deployment, stages, FakeDetector("fi"), None, [("retriever", stages.retriever)])


class Running(NamedTuple):
    url: str
    client: httpx2.Client
    server: uvicorn.Server

    def ask(self, question: str = "Mikä on pääkaupunki?", **more: Any) -> httpx2.Response:
        return self.client.post("/v1/ask", json={"question": question, **more})


@contextmanager
def running(
    served: Application,
    http: type[TimedProtocol] = TimedProtocol,
    make: Callable[[Application], FastAPI] = lambda served: create_app(application=served),
    *,
    local: socket.socket | None = None,
) -> Iterator[Running]:
    """Serve until the block ends. `local`: a socket to serve at, too."""
    with running_app(make(served), http, local=local) as up:
        yield up


@contextmanager
def running_app(
    app: Any, http: type[TimedProtocol] = TimedProtocol, *, local: socket.socket | None = None
) -> Iterator[Running]:
    """Serve an ASGI application until the block ends."""
    config = uvicorn.Config(app, port=0, http=http, log_level="warning", timeout_graceful_shutdown=3)
    server = uvicorn.Server(config)
    listening = socket.create_server(("127.0.0.1", 0))
    sockets = [listening] if local is None else [listening, local]
    thread = threading.Thread(target=server.run, kwargs={"sockets": sockets}, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.01)
    url = f"http://127.0.0.1:{listening.getsockname()[1]}"
    with httpx2.Client(base_url=url, timeout=20) as client:
        yield Running(url, client, server)
    server.should_exit = True
    thread.join(10)


def events(body: str) -> list[tuple[str, Any]]:
    """The server-sent events in a body: their names and data."""
    made = []
    for block in body.strip().split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines())
        made.append(
            (fields.get("event", ""), fields["data"] if fields["data"] == "[DONE]" else json.loads(fields["data"]))
        )
    return made
