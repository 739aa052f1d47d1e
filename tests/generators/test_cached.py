from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import ClassVar

import pytest

from qttrag.errors import StageError
from qttrag.generators.cached import CachedGenerator
from qttrag.generators.completion_stream import CompletionStream
from qttrag.runtime.cache import Cache, content_key
from qttrag.testing import FakeGenerator
from qttrag.trace import Trace
from qttrag.types import RESTART, Completion, Decoding, Message, Piece, Token, Usage

MESSAGES: list[Message] = [{"role": "user", "content": "언제?"}]


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache.sqlite")


async def complete(generator: CachedGenerator, decoding: Decoding | None = None) -> str:
    return "".join([piece async for piece in generator.generate(MESSAGES, decoding or Decoding())])


async def test_a_second_call_is_served_from_the_cache_and_counted(cache: Cache) -> None:
    inner = FakeGenerator(lambda messages: "one two")
    trace = Trace()
    with trace.stage("tag"):
        answers = [await complete(CachedGenerator(inner, cache)) for _ in range(2)]
    assert answers == ["one two", "one two"]
    assert len(inner.seen) == 1
    assert trace.counts == {"tag.computed": 1, "tag.cached": 1}


@pytest.mark.parametrize("other", [Decoding(max_tokens=5), Decoding(repetition_penalty=1.2), Decoding(schema={"a": 1})])
async def test_other_decoding_parameters_are_another_completion(cache: Cache, other: Decoding) -> None:
    inner = FakeGenerator()
    await complete(CachedGenerator(inner, cache))
    await complete(CachedGenerator(inner, cache), other)
    assert len(inner.seen) == 2


async def test_a_sampled_completion_is_never_stored(cache: Cache) -> None:
    inner = FakeGenerator()
    for _ in range(2):
        await complete(CachedGenerator(inner, cache), Decoding(temperature=0.3))
    assert len(inner.seen) == 2


class Breaking(FakeGenerator):
    async def generate(self, messages: Sequence[Message], decoding: Decoding) -> AsyncIterator[str]:
        yield "half"
        raise StageError("generator", "died")


async def test_an_interrupted_completion_is_not_stored(cache: Cache) -> None:
    with pytest.raises(StageError):
        await complete(CachedGenerator(Breaking(), cache))
    assert cache.info() == {}


async def test_a_completion_whose_stream_is_closed_is_not_stored(cache: Cache) -> None:
    stream = CachedGenerator(FakeGenerator(lambda messages: "one two"), cache).generate(MESSAGES, Decoding())
    await anext(stream)
    await stream.aclose()
    assert cache.info() == {}


class Slow(FakeGenerator):
    """Yields "one ", and after `may_continue` "two" or the error."""

    def __init__(self, error: Exception | None = None) -> None:
        super().__init__()
        self.error = error
        self.may_continue = asyncio.Event()

    async def generate(self, messages: Sequence[Message], decoding: Decoding) -> AsyncIterator[str]:
        self.seen.append((list(messages), decoding))
        yield "one "
        await self.may_continue.wait()
        if self.error:
            raise self.error
        yield "two"


async def started(generator: CachedGenerator, n: int) -> list[asyncio.Task[str]]:
    """Start `n` equal calls and give them time to reach the generator."""
    calls = [asyncio.create_task(complete(generator)) for _ in range(n)]
    await asyncio.sleep(0.1)
    return calls


async def test_equal_calls_at_the_same_time_are_computed_once(cache: Cache) -> None:
    inner = Slow()
    trace = Trace()
    with trace.stage("tag"):
        calls = await started(CachedGenerator(inner, cache), 3)
        inner.may_continue.set()
        assert await asyncio.gather(*calls) == ["one two"] * 3
    assert len(inner.seen) == 1
    assert trace.counts == {"tag.computed": 1, "tag.cached": 2}


async def test_when_the_first_of_equal_calls_is_cancelled_another_takes_over(cache: Cache) -> None:
    inner = Slow()
    first, *others = await started(CachedGenerator(inner, cache), 3)
    first.cancel()
    await asyncio.sleep(0.1)
    inner.may_continue.set()
    assert await asyncio.gather(*others) == ["one two"] * 2
    assert len(inner.seen) == 2


async def test_cancelling_a_waiting_call_does_not_disturb_the_others(cache: Cache) -> None:
    inner = Slow()
    first, second, third = await started(CachedGenerator(inner, cache), 3)
    second.cancel()
    await asyncio.sleep(0)
    inner.may_continue.set()
    assert [await first, await third] == ["one two"] * 2
    assert len(inner.seen) == 1


async def test_equal_calls_at_the_same_time_share_an_error_and_later_ones_do_not(cache: Cache) -> None:
    inner = Slow(StageError("generator", "died"))
    generator = CachedGenerator(inner, cache)
    calls = await started(generator, 2)
    inner.may_continue.set()
    errors = await asyncio.gather(*calls, return_exceptions=True)
    assert [str(error) for error in errors] == ["generator: died"] * 2
    inner.error = None
    assert await complete(generator) == "one two"


class RecordsThreads(FakeGenerator):
    threads: ClassVar[set[threading.Thread]] = set()

    @property
    def identity(self) -> str:  # type: ignore[override]
        self.threads.add(threading.current_thread())
        return "fake"


async def test_the_identity_is_read_off_the_event_loop(cache: Cache) -> None:
    inner = RecordsThreads()
    await complete(CachedGenerator(inner, cache))
    assert inner.threads
    assert threading.current_thread() not in inner.threads


class Whole(FakeGenerator):
    """Streams completions that are cut and have alternatives, as a `CompletionStream`."""

    def generate(self, messages: Sequence[Message], decoding: Decoding) -> CompletionStream:
        async def pieces() -> AsyncGenerator[Piece]:
            self.seen.append((list(messages), decoding))
            yield Piece("one ", [Token("one ", {"one ": -0.5})])
            yield Piece("two", cut=True)

        return CompletionStream(pieces())

    async def complete(self, messages: Sequence[Message], decoding: Decoding) -> Completion:
        return await self.generate(messages, decoding).whole()


WHOLE = Completion("one two", cut=True, tokens=(Token("one ", {"one ": -0.5}),))


async def test_a_streamed_completion_serves_a_later_whole_call(cache: Cache) -> None:
    inner = Whole()
    assert await complete(CachedGenerator(inner, cache)) == "one two"
    assert await CachedGenerator(inner, cache).complete(MESSAGES, Decoding()) == WHOLE
    assert len(inner.seen) == 1


async def test_a_whole_completion_serves_a_later_stream(cache: Cache) -> None:
    inner, generator = Whole(), CachedGenerator(Whole(), cache)
    assert await generator.complete(MESSAGES, Decoding()) == WHOLE
    assert await complete(CachedGenerator(inner, cache)) == "one two"
    assert inner.seen == []


async def test_a_whole_call_waits_for_an_equal_stream(cache: Cache) -> None:
    inner = Whole()
    generator = CachedGenerator(inner, cache)
    stream = generator.generate(MESSAGES, Decoding())
    assert await anext(stream) == "one "
    whole = asyncio.create_task(generator.complete(MESSAGES, Decoding()))
    await asyncio.sleep(0.1)
    assert not whole.done()
    assert [text async for text in stream] == ["two"]
    assert await whole == WHOLE
    assert len(inner.seen) == 1


async def test_a_stream_of_text_alone_does_not_serve_a_whole_call(cache: Cache) -> None:
    inner = FakeGenerator(lambda messages: "one two")
    generator = CachedGenerator(inner, cache)
    await complete(generator)
    await generator.complete(MESSAGES, Decoding())
    assert len(inner.seen) == 2


@pytest.mark.parametrize("how", ["pieces", "whole"])
async def test_an_entry_of_an_earlier_version_is_not_read(cache: Cache, how: str) -> None:
    parts = {"identity": "fake", "how": how, "messages": MESSAGES, "decoding": asdict(Decoding())}
    cache.put_many("completion", {content_key(parts): "one two"})
    inner = Whole()
    assert await CachedGenerator(inner, cache).complete(MESSAGES, Decoding()) == WHOLE
    assert await complete(CachedGenerator(inner, cache)) == "one two"
    assert len(inner.seen) == 1


class Reasoning(FakeGenerator):
    """Finds out at the closing tag that its text was reasoning."""

    def generate(self, messages: Sequence[Message], decoding: Decoding) -> CompletionStream:
        async def pieces() -> AsyncGenerator[Piece]:
            yield Piece("hm")
            yield Piece("yes", reasoning="hm", restart=True)

        return CompletionStream(pieces())

    async def complete(self, messages: Sequence[Message], decoding: Decoding) -> Completion:
        return await self.generate(messages, decoding).whole()


async def test_the_reasoning_of_a_cached_completion_is_kept_apart(cache: Cache) -> None:
    generator = CachedGenerator(Reasoning(), cache)
    first = [piece async for piece in generator.generate(MESSAGES, Decoding())]
    assert (first, first[1] is RESTART) == (["hm", "", "yes"], True)
    stream = generator.generate(MESSAGES, Decoding())
    assert [piece async for piece in stream] == ["yes"]
    assert stream.completion == await generator.complete(MESSAGES, Decoding()) == Completion("yes", reasoning="hm")


async def test_reasoning_in_a_completion_of_an_earlier_version_is_separated(cache: Cache) -> None:
    generator = CachedGenerator(Reasoning(), cache)
    key = content_key({"identity": "fake", "messages": MESSAGES, "decoding": asdict(Decoding())})
    cache.put_many("completion", {key: '["<think>hm</think>yes", false, []]'})
    assert await generator.complete(MESSAGES, Decoding()) == Completion("yes", reasoning="hm")


class Reporting(FakeGenerator):
    """Reports the tokens that it used, streamed or not."""

    def generate(self, messages: Sequence[Message], decoding: Decoding) -> CompletionStream:
        async def pieces() -> AsyncGenerator[Piece]:
            yield Piece("yes", usage=Usage(7, 3))

        return CompletionStream(pieces())

    async def complete(self, messages: Sequence[Message], decoding: Decoding) -> Completion:
        return await self.generate(messages, decoding).whole()


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("second", [True, False])
async def test_a_cached_completion_has_the_usage_of_the_time_when_it_was_computed(
    cache: Cache, first: bool, second: bool
) -> None:
    async def ask(streamed: bool) -> Trace:
        trace = Trace()
        with trace.stage("answer"):
            generator = CachedGenerator(Reporting(), cache)
            await (complete(generator) if streamed else generator.complete(MESSAGES, Decoding()))
        return trace

    assert (await ask(first)).counts == {"answer.computed": 1}
    counted = (await ask(second)).counts
    assert counted == {"answer.cached": 1, "answer.cached_prompt_tokens": 7, "answer.cached_completion_tokens": 3}
