"""Load balancing and retries: generators against scripted servers."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Iterator
from typing import Any

import pytest

from qttrag.errors import BrokenOff, StageError, StageUnavailable
from qttrag.generators.openai import OpenAIGenerator
from qttrag.openai_client.balancing import AdaptiveConcurrencyLimit, CircuitBreaker
from qttrag.trace import Trace
from qttrag.types import Completion, Decoding, Message, Token
from tests.openai_client.server import Reply, Server, chunk, failure, text_reply

MESSAGES: list[Message] = [{"role": "user", "content": "언제?"}]
INTERRUPTED = Reply(chunk("half"), b"data: {")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def generator(*base_urls: str, **settings: Any) -> OpenAIGenerator:
    return OpenAIGenerator("m", base_url=list(base_urls), **{"timeout": 5.0, **settings})


async def complete(client: OpenAIGenerator, decoding: Decoding | None = None) -> Completion:
    return await client.complete(MESSAGES, decoding or Decoding())


# one server


async def test_an_interrupted_completion_is_restarted() -> None:
    trace = Trace()
    with Server(INTERRUPTED, text_reply("whole")) as server, trace.stage("tag"):
        client = generator(server.base_url)
        assert (await complete(client)).text == "whole"
        await client.close()
    assert trace.counts["tag.restarted"] == 1


async def test_an_interrupted_stream_is_an_error_to_its_reader() -> None:
    with Server(INTERRUPTED) as server:
        client = generator(server.base_url)
        with pytest.raises(BrokenOff, match="ended its reply before it was complete"):
            [piece async for piece in client.generate(MESSAGES, Decoding())]
        await client.close()


@pytest.mark.parametrize("reason", ["abort", "error"])
async def test_an_abandoned_reply_is_an_error(reason: str) -> None:
    with Server(text_reply("half", finish=reason)) as server, pytest.raises(BrokenOff):
        await complete(generator(server.base_url, retries=0))


async def test_a_withheld_reply_is_an_error() -> None:
    with Server(text_reply("half", finish="content_filter")) as server, pytest.raises(StageError, match="withheld"):
        await complete(generator(server.base_url))
    assert len(server.requests) == 1


async def test_a_completion_says_whether_it_was_cut() -> None:
    with Server(text_reply("a", finish="length"), text_reply("a")) as server:
        client = generator(server.base_url)
        assert [(await complete(client)).cut, (await complete(client)).cut] == [True, False]
        await client.close()


async def test_alternatives_are_read_token_by_token() -> None:
    reply = Reply(chunk("4", alternatives={"4": -0.1, "5": -2.3}), chunk(finish="stop"))
    with Server(reply) as server:
        result = await complete(generator(server.base_url), Decoding(alternatives=2))
    assert result.tokens == (Token("4", {"4": -0.1, "5": -2.3}),)
    assert (server.requests[0]["logprobs"], server.requests[0]["top_logprobs"]) == (True, 2)


async def test_a_call_that_takes_too_long_fails_although_data_arrives() -> None:
    slow = Reply(*[chunk("x")] * 50, pause=0.05)
    with Server(slow) as server, pytest.raises(StageUnavailable, match=r"not done after 0\.3 s; raise `call_timeout:`"):
        await complete(generator(server.base_url, call_timeout=0.3))
    assert len(server.requests) == 1


async def test_a_timeout_is_not_retried_at_the_same_server() -> None:
    with Server(Reply(b"", b"", pause=1.0)) as server, pytest.raises(StageUnavailable, match="sent no data"):
        await complete(generator(server.base_url, timeout=0.2))
    assert len(server.requests) == 1


async def test_a_server_that_replied_before_is_waited_for() -> None:
    client = generator(f"http://127.0.0.1:{(port := free_port())}/v1", patience=20)
    with Server(text_reply("before"), port=port):
        assert (await complete(client)).text == "before"
    waiting = [asyncio.ensure_future(complete(client)) for _ in range(20)]
    await asyncio.sleep(1)
    assert not any(call.done() for call in waiting)
    with Server(text_reply("after"), port=port):
        assert {result.text for result in await asyncio.gather(*waiting)} == {"after"}
    await client.close()


async def test_a_server_that_never_replied_fails_soon() -> None:
    client = generator(f"http://127.0.0.1:{free_port()}/v1", patience=60, retries=1)
    start = time.monotonic()
    results = await asyncio.gather(*(complete(client) for _ in range(10)), return_exceptions=True)
    assert all(isinstance(result, StageUnavailable) for result in results)
    assert time.monotonic() - start < 5
    await client.close()


async def test_after_failures_in_a_row_a_server_gets_no_calls() -> None:
    with Server(failure(500)) as server:
        client = generator(server.base_url, retries=0)
        for _ in range(5):
            with pytest.raises(StageUnavailable, match="HTTP 500"):
                await complete(client)
        with pytest.raises(StageUnavailable, match="5 calls in a row failed"):
            await complete(client)
        await client.close()
    assert len(server.requests) == 5


# several servers


async def test_another_server_takes_over_from_one_that_is_down() -> None:
    trace = Trace()
    with Server(text_reply("ok")) as server, trace.stage("answer"):
        client = generator(f"http://127.0.0.1:{free_port()}/v1", server.base_url)
        assert (await complete(client)).text == "ok"
        await client.close()
    assert any(server.base_url in note for note in trace.notes)


async def test_a_timeout_is_retried_at_another_server() -> None:
    with Server(Reply(b"", b"", pause=2.0)) as slow, Server(text_reply("ok")) as server:
        client = generator(slow.base_url, server.base_url, timeout=0.3)
        assert (await complete(client)).text == "ok"
        await client.close()


async def test_calls_are_balanced_between_servers() -> None:
    reply = Reply(chunk("a"), chunk(finish="stop"), pause=0.05)
    with Server(reply) as one, Server(reply) as other:
        client = generator(one.base_url, other.base_url)
        await asyncio.gather(*(complete(client) for _ in range(8)))
        await client.close()
    assert len(one.requests) == len(other.requests) == 4


async def test_a_rejected_request_is_not_sent_to_the_next_server() -> None:
    with Server(failure(422)) as one, Server(failure(422)) as other:
        client = generator(one.base_url, other.base_url)
        with pytest.raises(StageError, match="rejected the request"):
            await complete(client)
        await client.close()
    assert len(one.requests) + len(other.requests) == 1


def test_the_order_of_servers_is_not_part_of_the_identity() -> None:
    assert generator("http://a/v1", "http://b/v1").identity == generator("http://b/v1", "http://a/v1").identity


# concurrency


class Overloaded:
    """Accepts `capacity` calls at once and rejects the rest."""

    def __init__(self, capacity: int) -> None:
        self.in_flight = 0
        self.capacity = capacity

    def __call__(self, body: dict[str, Any]) -> Reply:
        if self.in_flight >= self.capacity:
            return failure(429)
        self.in_flight += 1
        time.sleep(0.02)
        self.in_flight -= 1
        return text_reply("ok")


async def test_every_call_succeeds_at_a_server_that_rejects_most_at_first() -> None:
    with Server(Overloaded(4)) as server:
        client = generator(server.base_url, in_flight=32)
        results = await asyncio.gather(*(complete(client) for _ in range(64)))
        await client.close()
    assert {result.text for result in results} == {"ok"}


async def test_fewer_calls_are_sent_while_most_wait_in_the_servers_queue() -> None:
    trace = Trace()
    metrics = 'vllm:num_requests_waiting{model_name="m"} 60.0\n'
    with Server(Reply(chunk("a"), chunk(finish="stop"), pause=0.05), metrics=metrics) as server, trace.stage("tag"):
        client = generator(server.base_url, in_flight=16)
        await asyncio.gather(*(complete(client) for _ in range(96)))
        await client.close()
    assert 1 <= trace.counts["tag.queued_at_server"] < 20


class InterruptingServer(Server):
    """Ends the reply that it is sending when another request arrives, as llama-cpp-python does by default."""

    def __init__(self) -> None:
        super().__init__(self._reply)

    def _reply(self, body: dict[str, Any]) -> Reply:
        number = len(self.requests)

        def parts() -> Iterator[bytes]:
            for _ in range(10):
                if len(self.requests) > number:
                    return
                yield chunk("x")
            yield chunk(finish="stop")

        reply = Reply(pause=0.01)
        reply.parts = parts()
        return reply


async def test_a_server_that_interrupts_its_replies_gets_one_request_at_a_time() -> None:
    trace = Trace()
    with InterruptingServer() as server, trace.stage("tag"):
        generators = [generator(server.base_url), generator(server.base_url, extra_body={"seed": 1})]
        results = await asyncio.gather(*(complete(generators[n % 2]) for n in range(12)))
        assert {result.text for result in results} == {"x" * 10}
        calls = len(server.requests)
        await asyncio.gather(*(complete(generators[n % 2]) for n in range(2)))
        assert len(server.requests) == calls + 2  # none of them was interrupted
        for each in generators:
            await each.close()
    assert trace.counts["tag.limited_to_one"] == 1
    assert any("one at a time" in note for note in trace.notes)


def test_a_limit_of_one_after_interruptions_lasts_longer_each_time() -> None:
    limit = AdaptiveConcurrencyLimit(8)
    limit.in_use = 8
    assert [limit.interrupted() for _ in range(4)] == [False, True, False, False]
    held = []
    for _ in range(2):
        calls = 0
        while limit.limit == 1:
            limit.grow()
            calls += 1
        held.append(calls - 1)
        limit.in_use = 2
        assert limit.interrupted()
    assert held == [16, 32]


def test_a_single_call_that_breaks_off_does_not_lower_the_limit() -> None:
    limit = AdaptiveConcurrencyLimit(8)
    limit.in_use = 1
    assert not any(limit.interrupted() for _ in range(5))
    assert limit.limit == 8


async def test_a_concurrency_limit_admits_in_order_shrinks_and_grows() -> None:
    limit = AdaptiveConcurrencyLimit(4)
    for _ in range(4):
        await limit.acquire()
    limit.shrink(0.5)
    assert int(limit.limit) == 2
    waiting = [asyncio.ensure_future(limit.acquire()) for _ in range(2)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    limit.release()
    limit.release()
    await asyncio.sleep(0)
    assert not waiting[1].done()
    limit.release()
    await waiting[1]
    assert limit.in_use == 2
    for _ in range(20):
        limit.grow()
    assert int(limit.limit) == 4


async def test_a_place_granted_to_a_cancelled_caller_goes_to_the_next() -> None:
    limit = AdaptiveConcurrencyLimit(1)
    await limit.acquire()
    cancelled, waiting = (asyncio.ensure_future(limit.acquire()) for _ in range(2))
    await asyncio.sleep(0)
    limit.release()
    cancelled.cancel()
    await asyncio.wait_for(waiting, 1)
    assert limit.in_use == 1


def test_an_open_circuit_breaker_allows_one_probe_after_its_pause() -> None:
    breaker = CircuitBreaker(failures=2, pause_s=0.05)
    allowed = []
    for event in (breaker.failed, breaker.failed, lambda: time.sleep(0.06), breaker.begin, breaker.succeeded):
        event()
        allowed.append(breaker.allows_call)
    assert allowed == [True, False, True, False, True]
