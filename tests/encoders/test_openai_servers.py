"""The encoder behind servers: the same client as for chat, called from several threads."""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from qttrag.encoders.openai import OpenAIEncoder
from qttrag.errors import ConfigError, StageError, StageUnavailable
from qttrag.trace import Trace
from tests.openai_client.server import Reply, Server, embeddings, failure

TEXTS = ["The bridge was opened.", "다리"]


def vectors(body: dict[str, Any], dim: int = 3) -> Reply:
    return embeddings(*[[1.0 + len(text), *[0.0] * (dim - 1)] for text in body["input"]])


def after_the_first(*replies: Reply | Callable[[dict[str, Any]], Reply]) -> list[Any]:
    """Return the replies after that to the request of the constructor."""
    return [vectors, *replies]


@pytest.fixture
def encoder_at(tiny: Path) -> Callable[..., OpenAIEncoder]:
    def encoder(*servers: Server, **settings: Any) -> OpenAIEncoder:
        urls = [server.base_url for server in servers]
        return OpenAIEncoder(str(tiny / "encoder"), revision=None, max_tokens=32, urls=urls, **settings)

    return encoder


def encode(encoder: OpenAIEncoder) -> Any:
    return encoder.encode_prepared(encoder.prepare(encoder.tokenise(TEXTS)))


def test_vectors_come_as_unit_vectors_with_the_encoders_facts(encoder_at: Callable[..., OpenAIEncoder]) -> None:
    with Server(vectors) as server:
        encoder = encoder_at(server)
        assert np.array_equal(encode(encoder), [[1, 0, 0], [1, 0, 0]])
    assert (encoder.info.dim, encoder.info.max_tokens) == (3, 32)


def test_an_overloaded_server_is_retried(encoder_at: Callable[..., OpenAIEncoder]) -> None:
    trace = Trace()
    busy = failure(429, headers={"retry-after": "0.1"})
    with Server(*after_the_first(busy, busy, vectors)) as server, trace.stage("search"):
        assert encode(encoder_at(server)).shape == (2, 3)
    assert trace.counts["search.retried"] == 2


def test_a_server_that_stops_replying_is_an_error_with_the_recipes_setting(
    encoder_at: Callable[..., OpenAIEncoder],
) -> None:
    with Server(*after_the_first(Reply(b"", b"", pause=1.0))) as server:
        encoder = encoder_at(server, timeout=0.3)
        with pytest.raises(StageUnavailable, match=r"retriever: .* sent no data .*`servers: \{timeout: \.\.\.\}`"):
            encode(encoder)


def test_an_invalid_reply_is_an_error(encoder_at: Callable[..., OpenAIEncoder]) -> None:
    with Server(*after_the_first(embeddings([1.0, 0.0, 0.0]))) as server:
        encoder = encoder_at(server)
        with pytest.raises(StageError, match=r"invalid reply \(ValueError: 1 vectors for 2 texts\)"):
            encode(encoder)


def test_servers_with_vectors_of_different_sizes_are_rejected(encoder_at: Callable[..., OpenAIEncoder]) -> None:
    with (
        Server(vectors) as one,
        Server(lambda body: vectors(body, dim=4)) as other,
        pytest.raises(ConfigError, match="vectors of different sizes"),
    ):
        encoder_at(one, other)


def test_calls_of_several_threads_are_in_flight_at_the_same_time(encoder_at: Callable[..., OpenAIEncoder]) -> None:
    def slow(body: dict[str, Any]) -> Reply:
        time.sleep(0.2)
        return vectors(body)

    with Server(*after_the_first(slow)) as server:
        encoder = encoder_at(server, in_flight=4)
        start = time.monotonic()
        with ThreadPoolExecutor(8) as threads:
            list(threads.map(lambda _: encode(encoder), range(8)))
        assert 0.4 <= time.monotonic() - start < 1.2


def test_an_encoder_without_references_leaves_no_thread(encoder_at: Callable[..., OpenAIEncoder]) -> None:
    def running() -> list[threading.Thread]:
        return [thread for thread in threading.enumerate() if thread.name == "qttrag-embeddings"]

    gc.collect()
    with Server(vectors) as server:
        before = running()
        encoder = encoder_at(server)
        (thread,) = set(running()) - set(before)
        del encoder
        gc.collect()
        thread.join(5)
        assert not thread.is_alive()
