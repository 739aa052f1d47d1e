"""From records to shards: read, cut into passages and tokens ahead, encoded here, written behind."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from typing import TYPE_CHECKING, NamedTuple

from qttrag.indexes.jobs import prefetching as overlap
from qttrag.indexes.jobs.workers import Workers
from qttrag.indexes.recipe import Recipe
from qttrag.indexes.sources.chunking import chunk
from qttrag.indexes.sources.records import Position, Reader, Record, Taken
from qttrag.indexes.storage.journal import Journal, Workshop
from qttrag.indexes.storage.shards import ShardWriter
from qttrag.types import Passage

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from qttrag.types import Prepared, Tokens

_WINDOW = 4096  # passages sorted by length together, so that a batch pads little
_AHEAD = 4  # windows read ahead, some 20 MB each, and written behind


class Batch(NamedTuple):
    """Rows of a window, and their texts in tokens."""

    rows: NDArray[np.int64]
    prepared: Prepared


class Window(NamedTuple):
    """Passages that are encoded together, all those of some records. `closes`: the last of its shard.

    `truncated`: how many are longer than the encoder reads; `position` and `share` of the source after them; `taken`
    with them. The last of a source may have no passages, only what was left out after the others."""

    passages: list[Passage]
    truncated: int
    batches: list[Batch]
    position: Position
    share: float
    taken: Taken
    closes: bool


def encode_all(
    recipe: Recipe,
    encoder: Workers,
    reader: Reader,
    journal: Journal,
    workshop: Workshop,
    progress: Callable[[int, float], None],
) -> Counter[str]:
    """Write and record the shards that are missing; return what was left out after the last, by cause.

    `progress` is told the passages encoded and the share of the source that is read. Passages, batches and shards are
    the same however often the building was broken off."""
    with (
        overlap.Ahead(windows(recipe, encoder, reader), depth=_AHEAD) as ahead,
        overlap.Behind(depth=_AHEAD) as behind,
    ):
        line = _Line(encoder, ShardWriter(workshop, journal, encoder.dim), behind, journal.rows, progress)
        for window in ahead:
            if not window.passages:
                return window.taken.skipped
            line.put(window)
    return Counter()


class _Line:
    """Windows that are being encoded: while one is awaited the next is begun, so that no encoder waits for another.

    Not over the end of a shard: a kill then costs one shard, not one and the beginning of the next."""

    def __init__(
        self,
        encoder: Workers,
        shard: ShardWriter,
        behind: overlap.Behind,
        done: int,
        progress: Callable[[int, float], None],
    ) -> None:
        self._encoder = encoder
        self._shard = shard
        self._behind = behind
        self._done = done
        self._progress = progress
        self._begun: deque[tuple[Window, list[Future[NDArray[np.float32]]]]] = deque()

    def put(self, window: Window) -> None:
        """Begin a window; finish the one before, or both if the shard ends."""
        self._begun.append((window, [self._encoder.submit(batch.prepared) for batch in window.batches]))
        while len(self._begun) > (0 if window.closes else 1):
            self._finish(*self._begun.popleft())

    def _finish(self, window: Window, futures: Sequence[Future[NDArray[np.float32]]]) -> None:
        import numpy as np

        vectors = np.empty((len(window.passages), self._encoder.dim), np.float32)
        for batch, future in zip(window.batches, futures, strict=True):
            vectors[batch.rows] = future.result()
            self._done += len(batch.rows)
            self._progress(self._done, window.share)
        self._behind.call(self._shard.append, window.passages, vectors, taken=window.taken, truncated=window.truncated)
        if window.closes:
            self._behind.call(self._shard.close, window.position)
            self._behind.wait()


def _batches(recipe: Recipe, encoder: Workers, tokens: Sequence[Tokens]) -> Iterator[Batch]:
    """Yield the texts of a window in batches of about `batch_tokens`, longest first, so that a batch pads little."""
    import numpy as np

    lengths = np.array([len(each.ids) for each in tokens], np.int64)
    order = np.argsort(-lengths, kind="stable")
    start = 0
    while start < len(order):
        fit = max(1, recipe.encoder.batch_tokens // int(lengths[order[start]]))
        rows = order[start : start + min(fit, encoder.max_batch or fit)]
        yield Batch(rows, encoder.prepare([tokens[row] for row in rows]))
        start += len(rows)


def windows(recipe: Recipe, encoder: Workers, reader: Reader) -> Iterator[Window]:
    """Yield the windows of a source. None spans shards, and a shard begins with a record."""

    def window(*, closes: bool) -> Window:
        texts = [recipe.encoder.passage_prefix + passage.content for passage in passages]
        tokens = encoder.tokenise(texts) if texts else []
        truncated = sum(each.cut for each in tokens)
        batches = list(_batches(recipe, encoder, tokens))
        return Window(passages, truncated, batches, reader.position, reader.share, reader.take(), closes)

    in_shard = 0
    passages: list[Passage] = []
    for record in reader:
        found = _passages(recipe, record)
        if found and len(passages) >= _WINDOW:  # not before there is more, so that the last window closes its shard
            in_shard += len(passages)
            yield window(closes=False)
            passages = []
        passages += found
        if in_shard + len(passages) >= recipe.shard_rows:
            yield window(closes=True)
            in_shard, passages = 0, []
    yield window(closes=True)


def _passages(recipe: Recipe, record: Record) -> list[Passage]:
    texts = chunk(record.text, record.lang, recipe.chunking)
    if not recipe.chunking.enabled:
        return [Passage(record.record_id, text, record.lang, record.title) for text in texts]
    return [Passage(f"{record.record_id}#{n}", text, record.lang, record.title) for n, text in enumerate(texts)]
