"""What a server says in its errors, however it says it, is quoted in one line."""

from __future__ import annotations

import json
import time

import pytest

from qttrag.errors import StageError, StageUnavailable
from qttrag.generators.openai import OpenAIGenerator
from qttrag.types import Decoding, Message
from tests.openai_client.server import Reply, Server

MESSAGES: list[Message] = [{"role": "user", "content": "언제?"}]


async def error_of(reply: Reply, *, retries: int = 0) -> tuple[StageError, int]:
    """Return the error of a call, and how often the server was called."""
    with Server(reply) as server:
        generator = OpenAIGenerator("m", base_url=server.base_url, retries=retries, timeout=5.0)
        with pytest.raises(StageError) as caught:
            await generator.complete(MESSAGES, Decoding())
        await generator.close()
        return caught.value, len(server.requests)


def as_json(status: int, body: object) -> Reply:
    return Reply(json.dumps(body).encode(), status=status, kind="application/json")


HTML = b"<!DOCTYPE html><html><head><title>413 Request Entity\n Too Large</title></head><body><h1>no</h1></body></html>"


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (as_json(400, {"error": "no such\n adapter"}), "(HTTP 400): no such adapter"),
        (as_json(400, {"error": {"message": "bad messages", "type": "x"}}), "(HTTP 400): bad messages"),
        (as_json(422, {"detail": "not a chat model"}), "(HTTP 422): not a chat model"),
        (
            as_json(422, {"detail": [{"loc": ["body", "messages", 0], "msg": "Field required", "type": "missing"}]}),
            "(HTTP 422): body.messages.0: Field required",
        ),
        (as_json(400, {"object": "error", "message": "too long for me", "code": 40303}), "(HTTP 400): too long for me"),
        (as_json(400, [{"error": {"code": 400, "message": "API key not valid"}}]), "(HTTP 400): API key not valid"),
        (Reply(HTML, status=413, kind="text/html"), "(HTTP 413): 413 Request Entity Too Large"),
        (Reply(b"upstream gone", status=500, kind="text/plain"), "(HTTP 500): upstream gone"),
        (Reply(b"", status=400, kind="text/plain"), "(HTTP 400) without a reason"),
        (Reply(b"", status=500, kind="text/plain"), "(HTTP 500) without a reason"),
        (as_json(429, {"error": {"message": "slow down"}}), "(HTTP 429): slow down"),
        (as_json(401, {"error": "token expired"}), "rejected the API key: token expired"),
        (as_json(404, {"detail": "Not Found"}), "does not have this model or path: Not Found"),
        (as_json(200, {"error": {"message": "engine died"}}), "failed: engine died"),
        (Reply(b'data: {"error": "engine died"}\n\n'), "failed: engine died"),
    ],
)
async def test_the_words_of_the_server_are_quoted(reply: Reply, words: str) -> None:
    error, _ = await error_of(reply)
    assert words in str(error)
    assert "\n" not in str(error)


async def test_long_words_are_shortened() -> None:
    error, _ = await error_of(as_json(400, {"error": "x" * 5000}))
    assert len(str(error)) < 400


async def test_a_key_is_not_quoted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    error, _ = await error_of(as_json(401, {"error": {"message": "Incorrect API key provided: sk-secret"}}))
    assert "sk-secret" not in str(error)


@pytest.mark.parametrize(
    "reply",
    [
        as_json(429, {"error": {"message": "You exceeded your current quota", "code": "insufficient_quota"}}),
        as_json(401, {}),
        as_json(403, {}),
        as_json(404, {}),
    ],
    ids=["quota", "401", "403", "404"],
)
async def test_what_waiting_cannot_change_fails_at_once(reply: Reply) -> None:
    start = time.monotonic()
    error, calls = await error_of(reply, retries=3)
    assert not isinstance(error, StageUnavailable)
    assert calls == 1
    assert time.monotonic() - start < 3


async def test_a_whole_reply_in_place_of_a_stream_is_read() -> None:
    body = {"choices": [{"index": 0, "message": {"role": "assistant", "content": "유로"}, "finish_reason": "stop"}]}
    with Server(as_json(200, body)) as server:
        generator = OpenAIGenerator("m", base_url=server.base_url)
        assert (await generator.complete(MESSAGES, Decoding())).text == "유로"
        await generator.close()
