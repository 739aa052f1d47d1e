"""Which server is asked, how often, how many calls at once: real clients against scripted servers."""

from __future__ import annotations

import asyncio
import socket
import time
from typing import Any

import pytest

from qttrag.errors import BrokenOff, StageError, StageUnavailable
from qttrag.generators.openai import OpenAIGenerator
from qttrag.openai_client.balancing import Breaker, Slots
from qttrag.trace import Trace
from qttrag.types import Completion, Decoding, Message, Token
from tests.openai_client.server import Reply, Server, chunk, failure, said

MESSAGES: list[Message] = [{"role": "user", "content": "언제?"}]
BROKEN = Reply(chunk("half"), b"data: {")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def generator(*base_urls: str, **settings: Any) -> OpenAIGenerator:
    return OpenAIGenerator("m", base_url=list(base_urls), **{"timeout": 5.0, **settings})


async def complete(made: OpenAIGenerator, decoding: Decoding | None = None) -> Completion:
    return await made.complete(MESSAGES, decoding or Decoding())


# one server


async def test_a_completion_that_broke_off_is_asked_for_anew() -> None:
    trace = Trace()
    with Server(BROKEN, said("whole")) as server, trace.stage("tag"):
        made = generator(server.base_url)
        assert (await complete(made)).text == "whole"
        await made.close()
    assert trace.counts["tag.begun_again"] == 1


async def test_a_stream_that_broke_off_says_so_to_who_reads_it() -> None:
    with Server(BROKEN) as server:
        made = generator(server.base_url)
        with pytest.raises(BrokenOff, match="ended its reply before it was complete"):
            [piece async for piece in made.generate(MESSAGES, Decoding())]
        await made.close()


@pytest.mark.parametrize("reason", ["abort", "error"])
async def test_a_reply_that_the_server_gave_up_is_no_answer(reason: str) -> None:
    with Server(said("half", finish=reason)) as server, pytest.raises(BrokenOff):
        await complete(generator(server.base_url, retries=0))


async def test_a_reply_that_was_withheld_is_no_answer() -> None:
    with Server(said("half", finish="content_filter")) as server, pytest.raises(StageError, match="withheld"):
        await complete(generator(server.base_url))
    assert len(server.requests) == 1


async def test_a_completion_says_that_it_was_cut() -> None:
    with Server(said("a", finish="length"), said("a")) as server:
        made = generator(server.base_url)
        assert [(await complete(made)).cut, (await complete(made)).cut] == [True, False]
        await made.close()


async def test_alternatives_are_told_token_by_token() -> None:
    reply = Reply(chunk("4", likely={"4": -0.1, "5": -2.3}), chunk(finish="stop"))
    with Server(reply) as server:
        completion = await complete(generator(server.base_url), Decoding(alternatives=2))
    assert completion.tokens == (Token("4", {"4": -0.1, "5": -2.3}),)
    assert (server.requests[0]["logprobs"], server.requests[0]["top_logprobs"]) == (True, 2)


async def test_a_call_that_takes_too_long_is_given_up_though_bytes_come() -> None:
    slow = Reply(*[chunk("x")] * 50, pause=0.05)
    with Server(slow) as server, pytest.raises(StageUnavailable, match=r"not done after 0\.3 s; raise `call_timeout:`"):
        await complete(generator(server.base_url, call_timeout=0.3))
    assert len(server.requests) == 1


async def test_a_time_out_is_not_asked_again_of_the_same_server() -> None:
    with Server(Reply(b"", b"", pause=1.0)) as server, pytest.raises(StageUnavailable, match="no byte"):
        await complete(generator(server.base_url, timeout=0.2))
    assert len(server.requests) == 1


async def test_a_server_that_has_answered_is_waited_for() -> None:
    made = generator(f"http://127.0.0.1:{(port := free_port())}/v1", patience=20)
    with Server(said("before"), port=port):
        assert (await complete(made)).text == "before"
    waiting = [asyncio.ensure_future(complete(made)) for _ in range(20)]
    await asyncio.sleep(1)
    assert not any(call.done() for call in waiting)
    with Server(said("after"), port=port):
        assert {completion.text for completion in await asyncio.gather(*waiting)} == {"after"}
    await made.close()


async def test_a_server_that_never_answered_is_given_up_soon() -> None:
    made = generator(f"http://127.0.0.1:{free_port()}/v1", patience=60, retries=1)
    start = time.monotonic()
    results = await asyncio.gather(*(complete(made) for _ in range(10)), return_exceptions=True)
    assert all(isinstance(result, StageUnavailable) for result in results)
    assert time.monotonic() - start < 5
    await made.close()


async def test_after_failures_in_a_row_a_server_is_left_alone() -> None:
    with Server(failure(500)) as server:
        made = generator(server.base_url, retries=0)
        for _ in range(5):
            with pytest.raises(StageUnavailable, match="HTTP 500"):
                await complete(made)
        with pytest.raises(StageUnavailable, match="5 calls in a row failed"):
            await complete(made)
        await made.close()
    assert len(server.requests) == 5


# several


async def test_another_server_is_asked_where_one_is_down() -> None:
    trace = Trace()
    with Server(said("ok")) as server, trace.stage("answer"):
        made = generator(f"http://127.0.0.1:{free_port()}/v1", server.base_url)
        assert (await complete(made)).text == "ok"
        await made.close()
    assert any(server.base_url in note for note in trace.notes)


async def test_a_time_out_is_asked_again_of_another_server() -> None:
    with Server(Reply(b"", b"", pause=2.0)) as slow, Server(said("ok")) as server:
        made = generator(slow.base_url, server.base_url, timeout=0.3)
        assert (await complete(made)).text == "ok"
        await made.close()


async def test_calls_are_shared_out_among_servers() -> None:
    reply = Reply(chunk("a"), chunk(finish="stop"), pause=0.05)
    with Server(reply) as one, Server(reply) as other:
        made = generator(one.base_url, other.base_url)
        await asyncio.gather(*(complete(made) for _ in range(8)))
        await made.close()
    assert len(one.requests) == len(other.requests) == 4


async def test_a_wrong_request_is_not_asked_of_the_next_server() -> None:
    with Server(failure(422)) as one, Server(failure(422)) as other:
        made = generator(one.base_url, other.base_url)
        with pytest.raises(StageError, match="refused the request"):
            await complete(made)
        await made.close()
    assert len(one.requests) + len(other.requests) == 1


def test_the_order_of_servers_is_not_part_of_the_identity() -> None:
    assert generator("http://a/v1", "http://b/v1").identity == generator("http://b/v1", "http://a/v1").identity


# how many at once


class Crowded:
    """Takes so many calls at once and refuses the rest."""

    def __init__(self, room: int) -> None:
        self.most = self.now = 0
        self.room = room

    def __call__(self, body: dict[str, Any]) -> Reply:
        if self.now >= self.room:
            return failure(429)
        self.now += 1
        self.most = max(self.most, self.now)
        time.sleep(0.02)
        self.now -= 1
        return said("ok")


async def test_every_call_gets_through_to_a_server_that_refuses_most_of_them() -> None:
    with Server(Crowded(4)) as server:
        made = generator(server.base_url, in_flight=32)
        done = await asyncio.gather(*(complete(made) for _ in range(64)))
        await made.close()
    assert {completion.text for completion in done} == {"ok"}


async def test_fewer_calls_are_sent_where_most_wait_in_the_servers_queue() -> None:
    trace = Trace()
    metrics = 'vllm:num_requests_waiting{model_name="m"} 60.0\n'
    with Server(Reply(chunk("a"), chunk(finish="stop"), pause=0.05), metrics=metrics) as server, trace.stage("tag"):
        made = generator(server.base_url, in_flight=16)
        await asyncio.gather(*(complete(made) for _ in range(96)))
        await made.close()
    assert 1 <= trace.counts["tag.queued_at_server"] < 20


async def test_slots_are_given_in_turn_and_shrink_and_grow() -> None:
    slots = Slots(4)
    for _ in range(4):
        await slots.acquire()
    slots.shrink(0.5)
    assert int(slots.limit) == 2
    waiting = [asyncio.ensure_future(slots.acquire()) for _ in range(2)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    slots.release()
    slots.release()
    await asyncio.sleep(0)
    assert not waiting[1].done()
    slots.release()
    await waiting[1]
    assert slots.in_use == 2
    for _ in range(20):
        slots.went_well()
    assert int(slots.limit) == 4


async def test_a_turn_that_came_to_a_caller_who_left_goes_to_the_next() -> None:
    slots = Slots(1)
    await slots.acquire()
    left, stays = (asyncio.ensure_future(slots.acquire()) for _ in range(2))
    await asyncio.sleep(0)
    slots.release()
    left.cancel()
    await asyncio.wait_for(stays, 1)
    assert slots.in_use == 1


def test_a_breaker_lets_one_call_try_after_its_rest() -> None:
    breaker = Breaker(failures=2, rest_s=0.05)
    lets_through = []
    for happens in (breaker.failed, breaker.failed, lambda: time.sleep(0.06), breaker.begin, breaker.succeeded):
        happens()
        lets_through.append(breaker.lets_through)
    assert lets_through == [True, False, True, False, True]
