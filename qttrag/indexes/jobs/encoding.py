"""Encodes the records of a source into shards: reading and tokenising run ahead of the encoder, writing behind it."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from typing import TYPE_CHECKING, NamedTuple

from qttrag.encoders import token_weights
from qttrag.indexes.jobs.index_job import IndexJob, Progress
from qttrag.indexes.jobs.prefetching import BackgroundWriter, Prefetcher
from qttrag.indexes.jobs.workers import Encoded, EncoderPool
from qttrag.indexes.recipe import Recipe
from qttrag.indexes.sources import documents
from qttrag.indexes.sources.chunking import chunk
from qttrag.indexes.sources.id_sets import IdSet
from qttrag.indexes.sources.listing import SourceFile
from qttrag.indexes.sources.records import OnError, ReadSummary, SourcePosition, SourceReader, SourceRecord
from qttrag.indexes.storage.shards import ShardWriter
from qttrag.types import Passage, TokenWeights

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from qttrag.types import Prepared, Tokens

_WINDOW = 4096  # passages sorted by length together, so that batches need little padding
_FIRST_WINDOW = 256  # of a shard; each next one has as many as all before it: the encoder begins while others are read
_DEPTH = 4  # windows read ahead and written behind, some 20 MB each


class EncoderBatch(NamedTuple):
    """Rows of a window, and their texts as tokens."""

    rows: NDArray[np.int64]
    prepared: Prepared


class Window(NamedTuple):
    """The passages of consecutive records, encoded together.

    `truncated`: passages longer than the encoder reads; `position`, `share`: of the source after them; `summary`: of
    reading their records; `ends_shard`: the last window of a shard. The last window of a source may have no passages,
    only skipped records."""

    passages: list[Passage]
    truncated: int
    batches: list[EncoderBatch]
    position: SourcePosition
    share: float
    summary: ReadSummary
    ends_shard: bool


def encode_source(
    job: IndexJob,
    encoders: EncoderPool,
    files: Sequence[SourceFile],
    *,
    on_error: OnError,
    indexed: IdSet | None = None,
) -> Counter[str]:
    """Write and record the missing shards of a job; return the number of skipped records of all runs, by cause.

    `indexed`: ids that the index already contains. Passages, batches and shards do not depend on interruptions."""
    reader = SourceReader(
        job.recipe,
        files,
        on_error=on_error,
        start=job.journal.position,
        seen=IdSet(job.workspace.read_ids(job.journal)),
        indexed=indexed,
        downloads=job.workspace.downloads,
    )
    after_last_shard = Counter[str]()
    with (
        Prefetcher(windows(job.recipe, encoders, reader), depth=_DEPTH) as prefetched,
        BackgroundWriter(depth=_DEPTH) as writer,
    ):
        pipeline = _EncodingPipeline(job, encoders, writer)
        for window in prefetched:
            if window.passages:
                pipeline.put(window)
            else:
                after_last_shard = window.summary.skipped
    return after_last_shard + job.journal.skipped


class _EncodingPipeline:
    """Encodes windows, starting each before the previous one is finished, so that no encoder waits.

    At the end of a shard it waits for all: a kill then costs one shard, not one and the beginning of the next."""

    def __init__(self, job: IndexJob, encoders: EncoderPool, writer: BackgroundWriter) -> None:
        self._encoders = encoders
        self._shards = ShardWriter(
            job.workspace,
            job.journal,
            encoders.info.dim,
            has_places=job.recipe.source.kind == "folder",
            sparse=encoders.sparse,
        )
        self._writer = writer
        self._done = job.journal.rows
        self._progress = job.progress
        self._running: deque[tuple[Window, list[Future[Encoded]]]] = deque()

    def put(self, window: Window) -> None:
        """Start a window; finish the previous one, or both at the end of a shard."""
        self._running.append((window, [self._encoders.submit(batch.prepared) for batch in window.batches]))
        while len(self._running) > (0 if window.ends_shard else 1):
            self._finish(*self._running.popleft())

    def _finish(self, window: Window, futures: Sequence[Future[Encoded]]) -> None:
        import numpy as np

        vectors = np.empty((len(window.passages), self._encoders.info.dim), np.float32)
        weights = list[TokenWeights]()
        for batch, future in zip(window.batches, futures, strict=True):
            encoded = future.result()
            vectors[batch.rows] = encoded.vectors
            weights += [] if encoded.weights is None else [encoded.weights]
            self._done += len(batch.rows)
            self._progress(Progress("encode", self._done, window.share))
        in_order = np.argsort(np.concatenate([batch.rows for batch in window.batches]))
        self._writer.call(
            self._shards.append,
            window.passages,
            vectors,
            weights=token_weights.chosen(token_weights.stacked(weights), in_order) if weights else None,
            summary=window.summary,
            truncated=window.truncated,
        )
        if window.ends_shard:
            self._writer.call(self._shards.close, window.position)
            self._writer.wait()


def windows(recipe: Recipe, encoders: EncoderPool, reader: SourceReader) -> Iterator[Window]:
    """Yield the windows of a source. No window spans two shards, and a shard begins with a record."""

    def window(*, ends_shard: bool) -> Window:
        texts = [recipe.encoder.passage_prefix + passage.content for passage in passages]
        tokens = encoders.tokenise(texts) if texts else []
        truncated = sum(text.cut for text in tokens)
        batches = list(_batches(recipe, encoders, tokens))
        return Window(passages, truncated, batches, reader.position, reader.share, reader.drain_summary(), ends_shard)

    in_shard = 0
    passages: list[Passage] = []
    for record in reader:
        of_record = _passages(recipe, record)
        room = min(_WINDOW, max(_FIRST_WINDOW, in_shard))
        if of_record and len(passages) >= room:  # only if more follow, so that the last window ends its shard
            in_shard += len(passages)
            yield window(ends_shard=False)
            passages = []
        passages += of_record
        if in_shard + len(passages) >= recipe.shard_rows:
            yield window(ends_shard=True)
            in_shard, passages = 0, []
    yield window(ends_shard=True)


def _batches(recipe: Recipe, encoders: EncoderPool, tokens: Sequence[Tokens]) -> Iterator[EncoderBatch]:
    """Yield the texts of a window in batches of about `batch_tokens`, longest first."""
    import numpy as np

    lengths = np.array([len(text.ids) for text in tokens], np.int64)
    order = np.argsort(-lengths, kind="stable")
    start = 0
    while start < len(order):
        fitting = max(1, recipe.encoder.batch_tokens // int(lengths[order[start]]))
        rows = order[start : start + min(fitting, encoders.max_batch or fitting)]
        yield EncoderBatch(rows, encoders.prepare([tokens[row] for row in rows]))
        start += len(rows)


def _passages(recipe: Recipe, record: SourceRecord) -> list[Passage]:
    if recipe.source.kind == "folder":
        return documents.passages_of(record.record_id, record.text)
    texts = chunk(record.text, record.lang, recipe.chunking)
    if not recipe.chunking.enabled:
        return [Passage(record.record_id, text, record.lang, record.title) for text in texts]
    return [Passage(f"{record.record_id}#{n}", text, record.lang, record.title) for n, text in enumerate(texts)]
