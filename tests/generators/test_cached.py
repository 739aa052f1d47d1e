from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from qttrag.caching import Cache
from qttrag.errors import StageError
from qttrag.generators.cached import CachedGenerator
from qttrag.testing import FakeGenerator
from qttrag.trace import Trace
from qttrag.types import Decoding, Message

MESSAGES: list[Message] = [{"role": "user", "content": "언제?"}]


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache.sqlite")


async def complete(generator: CachedGenerator, decoding: Decoding | None = None) -> str:
    return "".join([piece async for piece in generator.generate(MESSAGES, decoding or Decoding())])


async def test_the_second_asking_is_answered_from_the_cache_and_counted(cache: Cache) -> None:
    inner = FakeGenerator(lambda messages: "one two")
    trace = Trace()
    with trace.stage("tag"):
        answers = [await complete(CachedGenerator(inner, cache)) for _ in range(2)]
    assert answers == ["one two", "one two"]
    assert len(inner.seen) == 1
    assert trace.counts == {"tag.computed": 1, "tag.cached": 1}


@pytest.mark.parametrize("other", [Decoding(max_tokens=5), Decoding(repetition_penalty=1.2), Decoding(schema={"a": 1})])
async def test_another_way_of_decoding_is_another_completion(cache: Cache, other: Decoding) -> None:
    inner = FakeGenerator()
    await complete(CachedGenerator(inner, cache))
    await complete(CachedGenerator(inner, cache), other)
    assert len(inner.seen) == 2


async def test_a_sampled_completion_is_never_kept(cache: Cache) -> None:
    inner = FakeGenerator()
    for _ in range(2):
        await complete(CachedGenerator(inner, cache), Decoding(temperature=0.3))
    assert len(inner.seen) == 2


class Breaking(FakeGenerator):
    async def generate(self, messages: Sequence[Message], decoding: Decoding) -> AsyncIterator[str]:
        yield "half"
        raise StageError("generator", "died")


async def test_a_completion_that_broke_off_is_not_kept(cache: Cache) -> None:
    with pytest.raises(StageError):
        await complete(CachedGenerator(Breaking(), cache))
    assert cache.info() == {}


async def test_a_completion_its_caller_left_is_not_kept(cache: Cache) -> None:
    stream = CachedGenerator(FakeGenerator(lambda messages: "one two"), cache).generate(MESSAGES, Decoding())
    await anext(stream)
    await stream.aclose()  # type: ignore[attr-defined]
    assert cache.info() == {}
