"""The generator against scripted servers on loopback."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from qttrag.errors import ConfigError, StageError, StageUnavailable
from qttrag.generators.openai import OpenAIGenerator
from qttrag.trace import Trace
from qttrag.types import Decoding, Message, Quotation
from tests.openai_client.server import Reply, Server, chunk, failure, text_reply

MESSAGES: list[Message] = [{"role": "user", "content": "언제?"}]
SCHEMA = {"type": "object"}


def generator(server: Server, **settings: Any) -> OpenAIGenerator:
    settings = {"retries": 0, "timeout": 5.0, **settings}
    return OpenAIGenerator("m", base_url=server.base_url, **settings)


async def complete(client: OpenAIGenerator, decoding: Decoding | None = None) -> str:
    try:
        return "".join([piece async for piece in client.generate(MESSAGES, decoding or Decoding())])
    finally:
        await client.close()


async def test_pieces_arrive_as_the_server_sends_them() -> None:
    with Server(text_reply("서울", "은 ", "수도")) as server:
        client = generator(server)
        assert [piece async for piece in client.generate(MESSAGES, Decoding())] == ["서울", "은 ", "수도"]
        await client.close()


async def test_the_request_is_greedy_and_has_the_messages() -> None:
    with Server(text_reply("x")) as server:
        await complete(generator(server), Decoding(max_tokens=9))
    (request,) = server.requests
    assert (request["model"], request["max_tokens"], request["temperature"]) == ("m", 9, 0.0)
    assert request["messages"] == MESSAGES
    assert "response_format" not in request
    assert "repetition_penalty" not in request


def test_replies_of_weights_in_four_bits_are_cached_apart() -> None:
    own, four_bits = (OpenAIGenerator("m", base_url="http://a", weights=w) for w in ("checkpoint", "int4"))
    assert own.identity == OpenAIGenerator("m", base_url="http://a").identity != four_bits.identity


async def test_sampling_settings_reach_the_server() -> None:
    with Server(text_reply("x")) as server:
        await complete(generator(server, extra_body={"top_k": 5}), Decoding(temperature=0.3, repetition_penalty=1.2))
    assert server.requests[0]["repetition_penalty"] == 1.2
    assert server.requests[0]["top_k"] == 5


async def test_a_schema_is_sent_to_the_server() -> None:
    with Server(text_reply("{}")) as server:
        await complete(generator(server), Decoding(schema=SCHEMA))
    assert server.requests[0]["response_format"]["json_schema"]["schema"] == SCHEMA


async def test_a_server_is_not_asked_to_copy_its_answer() -> None:
    with Server(text_reply("Seoul")) as server, pytest.raises(StageError, match="extractive: false"):
        await complete(generator(server), Decoding(quote=Quotation(("Seoul.",), "Unknown.")))
    assert not server.requests


async def test_a_rejected_schema_is_left_out_at_once_and_in_later_requests() -> None:
    def refuse(body: dict[str, Any]) -> Reply:
        return failure(400, "response_format is not supported") if "response_format" in body else text_reply("{}")

    trace = Trace()
    with Server(refuse) as server, trace.stage("tag"):
        client = generator(server)
        pieces = [[p async for p in client.generate(MESSAGES, Decoding(schema=SCHEMA))] for _ in range(2)]
        await client.close()
    assert pieces == [["{}"], ["{}"]]
    sent = [request.get("response_format", {}).get("type") for request in server.requests]
    assert sent == ["json_schema", "json_object", None, None]
    assert any("JSON schema" in note for note in trace.notes)


async def test_tokens_and_calls_are_counted() -> None:
    trace = Trace()
    with Server(text_reply("a", "b")) as server, trace.stage("answer"):
        await complete(generator(server))
    assert trace.counts == {"answer.calls": 1, "answer.prompt_tokens": 7, "answer.completion_tokens": 2}


async def test_a_completion_cut_at_max_tokens_is_counted() -> None:
    trace = Trace()
    with Server(text_reply("a", finish="length")) as server, trace.stage("answer"):
        assert await complete(generator(server)) == "a"
    assert trace.counts["answer.cut_at_max_tokens"] == 1


async def test_the_key_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", "secret")
    with Server(text_reply("x")) as server:
        await complete(generator(server, api_key_env="MY_KEY"))
    assert server.keys == ["Bearer secret"]


async def test_an_unreachable_server_is_named_with_a_remedy() -> None:
    client = OpenAIGenerator("m", base_url="http://127.0.0.1:9/v1", retries=0)
    with pytest.raises(StageUnavailable, match=r"generator: http://127\.0\.0\.1:9/v1.*cannot be reached.*start it"):
        await complete(client)


async def test_a_server_that_sends_nothing_fails_after_the_timeout() -> None:
    silent = Reply(b"", b"", pause=3.0)
    with Server(silent) as server, pytest.raises(StageUnavailable, match=r"sent no data for 0\.3 s; raise `timeout:`"):
        await complete(generator(server, timeout=0.3))


async def test_a_temporary_failure_is_retried() -> None:
    with Server(failure(500), failure(503), text_reply("ok")) as server:
        assert await complete(generator(server, retries=3)) == "ok"
    assert len(server.requests) == 3


async def test_a_permanent_failure_is_an_error_with_its_status() -> None:
    with Server(failure(500, "boom")) as server, pytest.raises(StageUnavailable, match=r"HTTP 500.*boom"):
        await complete(generator(server, retries=1))
    assert len(server.requests) == 2


async def test_after_overload_the_client_waits_as_long_as_the_server_says() -> None:
    with Server(failure(429, headers={"retry-after": "0.2"}), text_reply("ok")) as server:
        loop = asyncio.get_running_loop()
        start = loop.time()
        assert await complete(generator(server, retries=1)) == "ok"
        assert loop.time() - start >= 0.2


async def test_a_rejected_request_is_not_retried() -> None:
    with Server(failure(422, "bad")) as server, pytest.raises(StageError, match="rejected the request"):
        await complete(generator(server, retries=3))
    assert len(server.requests) == 1


async def test_an_unknown_model_is_an_error_with_the_served_models() -> None:
    with Server(failure(404, "no such model")) as server, pytest.raises(StageError, match="served-model"):
        await complete(generator(server))


async def test_a_rejected_key_names_the_environment_variable() -> None:
    with Server(failure(401)) as server, pytest.raises(StageError, match="OPENAI_API_KEY"):
        await complete(generator(server))


@pytest.mark.parametrize("status", [200, 502])
async def test_an_html_page_is_never_an_answer(status: int) -> None:
    page = Reply(b"<html><body>Bad gateway</body></html>", status=status, kind="text/html")
    with Server(page) as server, pytest.raises(StageError, match=r"text/html|HTTP 502"):
        await complete(generator(server))


@pytest.mark.parametrize(
    "broken",
    [
        Reply(chunk("half")),
        Reply(chunk("half"), b'data: {"id": "x", "choi'),
        Reply(chunk("half"), b'data: {"id": "x", "choi\n\n'),
        Reply(chunk("half"), b'data: {"error": {"message": "engine died"}}\n\n'),
        Reply(),
        Reply(b"data: [DONE]\n\n"),
    ],
    ids=["ends", "cut-off", "not-json", "error-event", "empty", "only-done"],
)
async def test_an_interrupted_stream_is_an_error_not_an_answer(broken: Reply) -> None:
    with Server(broken) as server, pytest.raises(StageError):
        await complete(generator(server))


async def test_a_stream_that_has_begun_is_not_retried() -> None:
    with Server(Reply(chunk("half"), b"data: {"), text_reply("whole")) as server, pytest.raises(StageError):
        await complete(generator(server, retries=3))
    assert len(server.requests) == 1


async def test_closing_the_stream_closes_the_connection() -> None:
    with Server(Reply(*(chunk("x" * 50_000) for _ in range(200)), pause=0.02)) as server:
        client = generator(server)
        stream = client.generate(MESSAGES, Decoding())
        assert await anext(stream)
        await stream.aclose()
        assert await asyncio.to_thread(server.disconnected.wait, 5)
        await client.close()


async def test_calls_at_once_are_limited_by_in_flight() -> None:
    with Server(Reply(chunk("a"), chunk(finish="stop"), pause=0.1)) as server:
        client = generator(server, in_flight=2)
        loop = asyncio.get_running_loop()
        start = loop.time()
        tasks = [asyncio.ensure_future(complete_one(client)) for _ in range(4)]
        await asyncio.gather(*tasks)
        assert loop.time() - start >= 0.2
        await client.close()


async def complete_one(client: OpenAIGenerator) -> str:
    return "".join([piece async for piece in client.generate(MESSAGES, Decoding())])


async def test_the_estimated_length_is_not_below_the_exact_one(tiny: Path) -> None:
    messages: list[Message] = [
        {"role": "system", "content": "Answer the question from the passages."},
        {"role": "user", "content": "헬싱키 시에서 가장 오래된 다리는 언제 개통되었는가? 赫尔辛基市最古老的桥"},
    ]
    with Server(text_reply("x")) as server:
        estimated = await generator(server).count_tokens(messages)
        exact = await generator(server, tokenizer=str(tiny / "llama")).count_tokens(messages)
    assert exact <= estimated


def test_a_base_url_without_a_scheme_is_rejected() -> None:
    with pytest.raises(ConfigError, match=r"base_url: localhost:8000.*http://"):
        OpenAIGenerator("m", base_url="localhost:8000")


def test_a_generator_works_in_one_event_loop_after_another() -> None:
    with Server(text_reply("x")) as server:
        client = generator(server, in_flight=1)
        assert [asyncio.run(complete_one(client)) for _ in range(3)] == ["x"] * 3


async def test_a_closed_generator_reconnects() -> None:
    with Server(text_reply("x")) as server:
        client = generator(server)
        assert [await complete(client), await complete(client)] == ["x", "x"]


@pytest.mark.parametrize(
    ("name", "value", "remedy"),
    [
        ("in_flight", 0, "set it to 1 or more"),
        ("retries", -1, "set it to 0 or more"),
        ("timeout", 0, "above 0"),
        ("connect_timeout", -1.5, "above 0"),
    ],
)
def test_an_invalid_setting_is_rejected(name: str, value: float, remedy: str) -> None:
    settings: dict[str, Any] = {name: value}
    with pytest.raises(ConfigError, match=rf"'openai': `{name}: {value}` is too small; .*{remedy}"):
        OpenAIGenerator("m", base_url="http://x", **settings)
