from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from qttrag import trace
from qttrag.application.application import Application
from qttrag.application.pretranslation import Pretranslation, pretranslate
from qttrag.config.deployment import Deployment
from qttrag.errors import ConfigError, StageUnavailable
from qttrag.generators.cached import CachedGenerator
from qttrag.indexes.collection import Collection
from qttrag.indexes.jobs.index_job import Progress
from qttrag.pipeline.stages import Stages
from qttrag.prompts import Prompts
from qttrag.protocols import QualityTagger
from qttrag.runtime.cache import Cache
from qttrag.runtime.result_cache import ResultCache
from qttrag.taggers.llm import LLMTagger
from qttrag.testing import FakeDetector, FakeGenerator, FakeReranker, FakeRetriever, FakeTagger, FakeTranslator
from qttrag.translators.cached import CachedTranslator
from qttrag.types import Lang, Passage, Translation, Verdict

KO, FI = Lang("ko"), Lang("fi")
SCORES = '{"semantic": 4.5, "grammar": 4.0, "fluency": 3.5}'


class Rows:
    """The part of an index that is translated: its passages, of which some are removed."""

    def __init__(self, passages: Sequence[Passage], removed: Sequence[int] = ()) -> None:
        self.passages = self
        self._all = list(passages)
        self._removed = set(removed)

    def remaining_rows(self) -> np.ndarray:
        return np.array([n for n in range(len(self._all)) if n not in self._removed])

    def take(self, rows: np.ndarray) -> list[Passage]:
        return [self._all[row] for row in rows.tolist()]


class UncachedTagger(FakeTagger):
    """Counts its scores as every tagger does, and has no cache."""

    async def score(
        self, originals: Sequence[str], translations: Sequence[str], source: Sequence[Lang], target: Lang
    ) -> list[Verdict]:
        trace.count("scored", len(translations))
        return await super().score(originals, translations, source, target)


class FailsAt(FakeTranslator):
    """Fails in its n-th call."""

    def __init__(self, n: int) -> None:
        super().__init__()
        self.n = n

    async def translate(self, texts: Sequence[str], source: Sequence[Lang], target: Lang) -> list[Translation]:
        self.n -= 1
        if self.n == 0:
            raise StageUnavailable("translator", "cannot be reached")
        return await super().translate(texts, source, target)


def passages(n: int) -> list[Passage]:
    return [Passage(f"{n}", f"number {n} " + "x" * (n % 50), Lang("fi" if n % 4 == 0 else "en")) for n in range(n)]


def application(
    cache: ResultCache | None, translator: FakeTranslator | None = None, tagger: QualityTagger | None = None
) -> Application:
    generator, inner = FakeGenerator(lambda messages: SCORES), translator or FakeTranslator()
    cached = generator if cache is None else CachedGenerator(generator, cache)
    stages = Stages(
        retriever=FakeRetriever(passages(20)),
        reranker=FakeReranker(),
        translator=inner if cache is None else CachedTranslator(inner, cache),
        tagger=tagger or LLMTagger(generator=cached, prompts=Prompts()),
        generator=cached,
        prompts=Prompts(),
    )
    deployment = Deployment(retriever={"kind": "fake"}, generator={"kind": "fake"}, tagger={"kind": "fake"})
    return Application(deployment, stages, FakeDetector("ko"), cache, [])


async def run(
    served: Application, rows: Rows, *targets: Lang, tag: bool = True, progress: list[Progress] | None = None
) -> list[Pretranslation]:
    collection: Collection = rows  # type: ignore[assignment]
    seen = [] if progress is None else progress
    return await pretranslate(served, collection, targets, tag=tag, progress=seen.append)


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache.sqlite")


async def test_only_passages_in_other_languages_are_translated_and_scored(cache: Cache) -> None:
    done = await run(application(cache), Rows(passages(20)), KO, FI)
    assert [(one.target, one.counts["translate.computed"], one.counts["tag.scored"]) for one in done] == [
        (KO, 20, 20),
        (FI, 15, 15),
    ]


async def test_a_question_then_finds_its_translations_and_scores(cache: Cache) -> None:
    await run(application(cache), Rows(passages(20)), KO)
    answer = await application(cache).ask("number 3")
    assert answer.trace.counts["translate.cached"] == answer.trace.counts["tag.cached"] == 5
    assert not {"translate.computed", "tag.computed"} & set(answer.trace.counts)


async def test_removed_passages_are_left_out(cache: Cache) -> None:
    (done,) = await run(application(cache), Rows(passages(20), removed=[1, 2]), KO)
    assert done.counts["translate.computed"] == 18


async def test_what_was_done_before_a_failure_is_not_done_again(cache: Cache) -> None:
    rows = Rows(passages(1000))
    with pytest.raises(StageUnavailable, match="cannot be reached"):
        await run(application(cache, FailsAt(6)), rows, KO)
    again = FakeTranslator()
    (done,) = await run(application(cache, again), rows, KO)
    assert done.counts["translate.cached"] >= 4 * 128
    assert len(again.seen) == 1000 - done.counts["translate.cached"]


async def test_passages_of_equal_length_are_translated_together(cache: Cache) -> None:
    translator = FakeTranslator()
    await run(application(cache, translator), Rows(passages(300)), KO)
    first = translator.seen[:128]
    assert min(map(len, first)) > sum(map(len, translator.seen)) / len(translator.seen)


async def test_progress_reaches_the_whole_of_all_languages(cache: Cache) -> None:
    steps: list[Progress] = []
    await run(application(cache), Rows(passages(300)), KO, FI, progress=steps)
    assert steps[-1] == Progress("translate", 600, 1.0)


async def test_without_a_cache_nothing_is_translated() -> None:
    translator = FakeTranslator()
    with pytest.raises(ConfigError, match="the cache is off"):
        await run(application(None, translator), Rows(passages(3)), KO)
    assert translator.seen == []


async def test_a_cache_that_cannot_be_written_stops_the_work(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(ConfigError, match=r"the cache cannot be .*then run the same command"):
        await run(application(Cache(tmp_path / "file" / "cache.sqlite")), Rows(passages(2000)), KO)


async def test_scores_that_no_cache_keeps_are_refused(cache: Cache) -> None:
    with pytest.raises(ConfigError, match=r"does not keep the scores of tagger kind 'fake'.*omit --tag"):
        await run(application(cache, tagger=UncachedTagger()), Rows(passages(20)), KO)
