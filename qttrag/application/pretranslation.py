"""Translates and scores the passages of a whole index before anybody asks.

The stages are those of questions, and so are their keys in the cache: a question finds each translation and score."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from typing import NamedTuple

from qttrag.application.application import Application
from qttrag.errors import ConfigError
from qttrag.indexes.collection import Collection
from qttrag.indexes.jobs.index_job import Progress, ignore_progress
from qttrag.runtime.tasks import gather_or_cancel
from qttrag.trace import Trace
from qttrag.types import Lang, Passage, TaggedPassage

_WINDOW = 4096  # passages read at once, of which those of equal length are translated together
_CALL = 128  # passages in one call of the translator and the tagger
_CALLS = 2  # at the same time: one is translated while another is scored


class Pretranslation(NamedTuple):
    """What was done for one target language. `counts`: of the stages, by "stage.what"; `notes`: for people."""

    target: Lang
    counts: Counter[str]
    notes: list[str]


async def pretranslate(
    application: Application,
    collection: Collection,
    targets: Sequence[Lang],
    *,
    tag: bool,
    progress: Callable[[Progress], None] = ignore_progress,
) -> list[Pretranslation]:
    """Put the translations of an index's passages into each of `targets`, and their scores, into the cache.

    What the cache has already is not computed again, so that an interrupted call is resumed by the same call.
    `progress`: called with the passages that are done, each counted once for each target.

    Raises:
        ConfigError: the deployment has no cache, or it cannot be used; it lacks a translator or a tagger; the cache
            does not keep the scores of this kind of tagger.
        StageError: the translator or the tagger failed."""
    if application.cache is None:
        raise ConfigError("nothing would be kept: the cache is off; remove `cache: {enabled: false}`")
    job = _Job(application, collection, tag=tag, whole=len(targets), progress=progress)
    return [await job.run(target) for target in targets]


class _Job:
    def __init__(
        self,
        application: Application,
        collection: Collection,
        *,
        tag: bool,
        whole: int,
        progress: Callable[[Progress], None],
    ) -> None:
        self._application = application
        self._collection = collection
        self._rows = collection.passages.remaining_rows()
        self._tag = tag
        self._whole = whole * len(self._rows)
        self._progress = progress
        self._done = 0

    async def run(self, target: Lang) -> Pretranslation:
        done = Pretranslation(target, Counter(), [])
        for window in self._windows():
            calls = _by_length(window)
            while some := list(islice(calls, _CALLS)):
                for trace in await gather_or_cancel(self._call(passages, target) for passages in some):
                    self._check(trace)
                    done.counts.update(trace.counts)
                    done.notes.extend(note for note in trace.notes if note not in done.notes)
        return done

    def _windows(self) -> Iterator[list[Passage]]:
        for start in range(0, len(self._rows), _WINDOW):
            yield self._collection.passages.take(self._rows[start : start + _WINDOW])

    async def _call(self, passages: Sequence[Passage], target: Lang) -> Trace:
        trace = Trace()
        stages = replace(self._application.stages_for(trace), degrade=False)
        translated = await stages.translate([TaggedPassage(passage) for passage in passages], target)
        if self._tag:
            await stages.tag(translated, target)
        self._done += len(passages)
        self._progress(Progress("translate", self._done, self._done / self._whole))
        return trace

    def _check(self, trace: Trace) -> None:
        """Stop where work would be lost: results that no cache keeps."""
        counts = trace.counts
        if any(name.endswith(".cache_failures") for name in counts):
            details = "; ".join(note for note in trace.notes if note.startswith("the cache"))
            raise ConfigError(f"the translations so far are kept, but {details}; then run the same command")
        if counts["tag.scored"] and not counts["tag.computed"] + counts["tag.cached"]:
            kind = (self._application.deployment.tagger or {}).get("kind")
            raise ConfigError(f"the cache does not keep the scores of tagger kind '{kind}', only `llm`; omit --tag")


def _by_length(passages: Sequence[Passage]) -> Iterator[list[Passage]]:
    """Yield the passages in calls, those of nearly equal length together, so that a batch pads little."""
    ordered = sorted(passages, key=lambda passage: len(passage.content), reverse=True)
    for start in range(0, len(ordered), _CALL):
        yield ordered[start : start + _CALL]
