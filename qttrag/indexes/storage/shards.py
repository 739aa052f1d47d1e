"""Shards of passages and their vectors, written aside and recorded when they are on the disk."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from qttrag.indexes.sources.records import Position, Taken
from qttrag.indexes.storage import atomic_files as durable
from qttrag.indexes.storage import manifest as manifests
from qttrag.indexes.storage import passages as passage_files
from qttrag.indexes.storage import vectors as vector_files
from qttrag.indexes.storage.journal import Journal, Shard, Workshop
from qttrag.indexes.storage.passages import PassageWriter
from qttrag.indexes.storage.vectors import VectorWriter
from qttrag.types import Passage

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class ShardWriter:
    """Writes one shard after another, of vectors with `dim` dimensions."""

    def __init__(self, workshop: Workshop, journal: Journal, dim: int) -> None:
        self._workshop = workshop
        self._journal = journal
        self._dim = dim
        self._open: _OpenShard | None = None

    def append(
        self,
        passages: Sequence[Passage],
        vectors: NDArray[np.floating],
        *,
        taken: Taken | None = None,
        truncated: int = 0,
    ) -> None:
        """Add passages and their vectors, shape (n, dim), to the shard that is open, or else to a new one.

        `taken`: what was read for them; `truncated`: how many are longer than the encoder reads."""
        if self._open is None:
            self._open = _OpenShard(self._workshop, len(self._journal.shards), self._dim)
        self._open.append(passages, vectors, taken or Taken([], Counter()), truncated)

    def close(self, position: Position) -> None:
        """End the shard that is open, if one is, and record it once it is on the disk."""
        shard, self._open = self._open, None
        if shard is not None:
            self._journal.shards.append(shard.close(position))
            self._workshop.record(self._journal)


class _OpenShard:
    """A shard that is being written aside."""

    def __init__(self, workshop: Workshop, number: int, dim: int) -> None:
        self._passages_file = workshop.index / passage_files.file(workshop.first + number)
        self._vectors_file = workshop.index / vector_files.file(workshop.first + number)
        self._ids_file = workshop.ids(number)
        self._streams = [durable.aside(path).open("wb") for path in (self._passages_file, self._vectors_file)]
        self._passages = PassageWriter(self._streams[0])
        self._vectors = VectorWriter(self._streams[1], dim)
        self._langs: Counter[str] = Counter()
        self._skipped: Counter[str] = Counter()
        self._ids: list[int] = []
        self._truncated = 0

    def append(self, passages: Sequence[Passage], vectors: NDArray[np.floating], taken: Taken, truncated: int) -> None:
        self._passages.append(passages)
        self._vectors.append(vectors)
        self._langs.update(passage.lang for passage in passages)
        self._skipped.update(taken.skipped)
        self._ids += taken.ids
        self._truncated += truncated

    def close(self, position: Position) -> Shard:
        import numpy as np

        self._passages.close()
        self._vectors.close()
        for stream in self._streams:
            stream.close()
        with durable.aside(self._ids_file).open("wb") as stream:
            np.save(stream, np.array(self._ids, np.uint64), allow_pickle=False)
        durable.settle(self._passages_file, self._vectors_file, self._ids_file)
        return Shard(
            rows=self._langs.total(),
            position=position,
            langs=dict(self._langs),
            skipped=dict(self._skipped),
            truncated=self._truncated,
            files={path.name: manifests.checksum(path) for path in (self._passages_file, self._vectors_file)},
            ids=manifests.checksum(self._ids_file),
        )
