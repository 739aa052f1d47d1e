from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from qttrag.errors import StageError
from qttrag.runtime.cache import Cache
from qttrag.testing import FakeTranslator
from qttrag.trace import Trace
from qttrag.translators.cached import CachedTranslator
from qttrag.types import Lang, Translation

EN, KO, FI = Lang("en"), Lang("ko"), Lang("fi")


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache.sqlite")


async def counts(translator: CachedTranslator, texts: Sequence[str], source: Lang, target: Lang) -> dict[str, int]:
    trace = Trace()
    with trace.stage("translate"):
        await translator.translate(texts, [source] * len(texts), target)
    return dict(trace.counts)


async def test_a_second_call_computes_nothing(cache: Cache) -> None:
    inner = FakeTranslator()
    translator = CachedTranslator(inner, cache)
    assert await counts(translator, ["a", "b"], EN, KO) == {"translate.computed": 2}
    assert await counts(translator, ["b", "a"], EN, KO) == {"translate.cached": 2}
    assert inner.seen == ["a", "b"]


async def test_a_later_process_reads_the_translations_of_an_earlier_one(cache: Cache) -> None:
    await CachedTranslator(FakeTranslator(), cache).translate(["a"], [EN], KO)
    cache.close()
    inner = FakeTranslator()
    again = CachedTranslator(inner, Cache(cache.path))
    assert await again.translate(["a"], [EN], KO) == [Translation("ko<a>")]
    assert inner.seen == []


async def test_equal_texts_of_one_call_are_translated_once(cache: Cache) -> None:
    inner = FakeTranslator()
    translations = await CachedTranslator(inner, cache).translate(["a", "b", "a"], [EN] * 3, KO)
    assert [t.text for t in translations] == ["ko<a>", "ko<b>", "ko<a>"]
    assert inner.seen == ["a", "b"]


async def test_the_same_text_in_another_language_is_another_key(cache: Cache) -> None:
    inner = FakeTranslator()
    translator = CachedTranslator(inner, cache)
    await translator.translate(["a", "a"], [EN, FI], KO)
    await translator.translate(["a"], [EN], FI)
    assert inner.seen == ["a", "a", "a"]


async def test_another_model_has_entries_of_its_own(cache: Cache) -> None:
    class Other(FakeTranslator):
        identity = "another fake"

    await CachedTranslator(FakeTranslator(), cache).translate(["a"], [EN], KO)
    other = Other()
    await CachedTranslator(other, cache).translate(["a"], [EN], KO)
    assert other.seen == ["a"]


class Flagging(FakeTranslator):
    async def translate(self, texts: Sequence[str], source: Sequence[Lang], target: Lang) -> list[Translation]:
        return [Translation("x", ("loop", "cut")) for _ in texts]


async def test_flags_are_stored_with_the_translation(cache: Cache) -> None:
    translator = CachedTranslator(Flagging(), cache)
    first = await translator.translate(["a"], [EN], KO)
    assert await translator.translate(["a"], [EN], KO) == first == [Translation("x", ("loop", "cut"))]


class Failing(FakeTranslator):
    async def translate(self, texts: Sequence[str], source: Sequence[Lang], target: Lang) -> list[Translation]:
        raise StageError("translator", "no memory")


async def test_a_failure_is_not_stored(cache: Cache) -> None:
    with pytest.raises(StageError):
        await CachedTranslator(Failing(), cache).translate(["a"], [EN], KO)
    assert await CachedTranslator(FakeTranslator(), cache).translate(["a"], [EN], KO) == [Translation("ko<a>")]


class WithLifecycle(FakeTranslator):
    state = "new"

    async def start(self) -> None:
        self.state = "started"

    async def close(self) -> None:
        self.state = "closed"


async def test_start_and_close_are_passed_to_the_inner_translator(cache: Cache) -> None:
    inner = WithLifecycle()
    translator = CachedTranslator(inner, cache)
    await translator.start()
    assert inner.state == "started"
    await translator.close()
    assert inner.state == "closed"


async def test_a_translator_without_start_and_close_needs_none(cache: Cache) -> None:
    translator = CachedTranslator(FakeTranslator(), cache)
    await translator.start()
    await translator.close()
    assert translator.identity == "fake"


async def test_no_texts_give_no_translations(cache: Cache) -> None:
    assert await CachedTranslator(FakeTranslator(), cache).translate([], [], KO) == []


class Slow(FakeTranslator):
    """Translates once `may_continue` is set, after failing `failures` times."""

    def __init__(self, failures: int = 0) -> None:
        super().__init__()
        self.failures = failures
        self.may_continue = asyncio.Event()

    async def translate(self, texts: Sequence[str], source: Sequence[Lang], target: Lang) -> list[Translation]:
        translations = await super().translate(texts, source, target)
        await self.may_continue.wait()
        if self.failures:
            self.failures -= 1
            raise StageError("translator", "no memory")
        return translations


async def started(translator: CachedTranslator, *calls: Sequence[str]) -> list[asyncio.Task[list[Translation]]]:
    """Start one call for each list of texts and give them time to reach the translator."""
    tasks = [asyncio.create_task(translator.translate(texts, [EN] * len(texts), KO)) for texts in calls]
    await asyncio.sleep(0.1)
    return tasks


async def test_a_text_in_translation_by_another_call_is_waited_for(cache: Cache) -> None:
    inner = Slow()
    trace = Trace()
    with trace.stage("translate"):
        calls = await started(CachedTranslator(inner, cache), ["a", "b"], ["b", "c"])
        inner.may_continue.set()
        texts = [[t.text for t in translations] for translations in await asyncio.gather(*calls)]
    assert texts == [["ko<a>", "ko<b>"], ["ko<b>", "ko<c>"]]
    assert sorted(inner.seen) == ["a", "b", "c"]
    assert trace.counts == {"translate.computed": 3, "translate.cached": 1}


async def test_when_that_other_call_is_cancelled_the_text_is_translated_again(cache: Cache) -> None:
    inner = Slow()
    first, second = await started(CachedTranslator(inner, cache), ["a", "b"], ["b"])
    first.cancel()
    inner.may_continue.set()
    assert await second == [Translation("ko<b>")]


async def test_when_that_other_call_fails_the_text_is_translated_again(cache: Cache) -> None:
    inner = Slow(failures=1)
    first, second = await started(CachedTranslator(inner, cache), ["a", "b"], ["b"])
    inner.may_continue.set()
    with pytest.raises(StageError):
        await first
    assert await second == [Translation("ko<b>")]
    assert inner.seen == ["a", "b", "b"]


async def test_an_unsupported_text_is_not_cached(cache: Cache) -> None:
    inner = FakeTranslator(unsupported={"fi"})
    translator = CachedTranslator(inner, cache)
    assert await translator.translate(["a", "b"], [FI, EN], KO) == [
        Translation("a", ("unsupported",)),
        Translation("ko<b>"),
    ]
    inner.unsupported = ()
    assert await translator.translate(["a", "b"], [FI, EN], KO) == [Translation("ko<a>"), Translation("ko<b>")]
