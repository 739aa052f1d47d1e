"""Streams with anything changed in them: a completion, a verdict or a StageError, and nothing else.

`CONFORMANCE_CASES=10000` runs as many cases; by default there are fewer, for speed."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from qttrag.errors import StageError
from qttrag.generators.openai import OpenAIGenerator
from qttrag.prompts import Prompts
from qttrag.taggers.llm import LLMTagger
from qttrag.types import Decoding, Lang, Message
from tests.conformance.habits import HABITS, SCORES, Body, OddServer, Wire, stream

MESSAGES: list[Message] = [{"role": "user", "content": "Mikä raha?"}]
JUNK: list[Any] = [
    None, "", 0, -1, 5, 1e308, True, [], {}, [[]], [None], {"a": None}, "\ud83d", "\ude00", "x", "length", "stop",
    "</think>", "<think>", "<|im_end|>", 10**400, {"text": 5}, [{"type": "text", "text": None}], "error",
]  # fmt: skip
EVENTS = [part for habit in HABITS.values() for part in habit({"messages": []}, SCORES).parts]


class Mutated:
    """The habit of the server: the parts of the case, or a good reply between cases."""

    def __init__(self) -> None:
        self.wire: Wire | None = None

    def __call__(self, body: Body, reply: str) -> Wire:
        return self.wire or stream([reply])


class Driver:
    """A generator at a server in one event loop, for all cases."""

    def __init__(self, server: OddServer, mutated: Mutated) -> None:
        self.loop = asyncio.new_event_loop()
        self.mutated = mutated
        self.generator = OpenAIGenerator("m", base_url=server.base_url, retries=0, timeout=5.0)
        self.tagger = LLMTagger(generator=self.generator, prompts=Prompts(), expected=True)

    def run(self, wire: Wire) -> None:
        self.mutated.wire = wire
        try:
            self.loop.run_until_complete(self._run())
        finally:
            self.mutated.wire = None  # a success, so that failures in a row do not end in the refusal of calls
            self.loop.run_until_complete(self.generator.complete(MESSAGES, Decoding()))

    async def _run(self) -> None:
        try:
            completion = await self.generator.complete(MESSAGES, Decoding())
            completion.text.encode()
            completion.reasoning.encode()
        except StageError as error:
            assert str(error).isprintable()  # noqa: PT017  the message is one line
        (verdict,) = await self.tagger.score(["It is the euro."], ["유로이다."], [Lang("en")], Lang("ko"))
        assert (verdict.scores is None) == (verdict.cause is not None)


@pytest.fixture(scope="module")
def driver() -> Iterator[Driver]:
    mutated = Mutated()
    with OddServer(mutated) as server:
        driver = Driver(server, mutated)
        yield driver
        driver.loop.run_until_complete(driver.generator.close())
        driver.loop.close()


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path of every value inside a JSON value."""
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield from places(inner, (*path, key))


def put(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    if not path:
        return new
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = put(copy[path[0]], path[1:], new)
    return copy


@st.composite
def events(draw: st.DrawFn) -> bytes:
    raw = draw(st.sampled_from(EVENTS))
    how = draw(st.sampled_from(["as it is", "value", "value", "value", "cut", "bytes"]))
    if how == "cut":
        return raw[: draw(st.integers(0, len(raw)))]
    if how == "bytes":
        return raw + draw(st.binary(max_size=8)) + draw(st.sampled_from([b"", b"\n\n"]))
    try:
        body = json.loads(raw.removeprefix(b"data: "))
    except ValueError:
        return raw
    if how == "value":
        body = put(body, draw(st.sampled_from(list(places(body)))), draw(st.sampled_from(JUNK)))
    return b"data: " + json.dumps(body).encode() + b"\n\n"


wires = st.builds(
    Wire,
    st.lists(events(), max_size=6),
    status=st.sampled_from([200, 200, 200, 200, 400, 422, 429, 500, 501]),
    kind=st.sampled_from(["text/event-stream", "text/event-stream", "application/json", "text/html", ""]),
)


@settings(
    max_examples=int(os.environ.get("CONFORMANCE_CASES", "300")),
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(wire=wires)
def test_a_mutated_stream_is_a_completion_or_a_stage_error(driver: Driver, wire: Wire) -> None:
    driver.run(wire)
