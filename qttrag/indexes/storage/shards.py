"""Writes shards of passages and vectors, and records each in the journal once it is on the disk."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from qttrag.indexes.sources.records import ReadSummary, SourcePosition
from qttrag.indexes.storage.atomic_files import commit, temporary_path
from qttrag.indexes.storage.journal import FinishedShard, Journal
from qttrag.indexes.storage.manifest import checksum
from qttrag.indexes.storage.passages import PassageWriter, passages_file
from qttrag.indexes.storage.token_weights import TokenWeightsWriter, weights_file
from qttrag.indexes.storage.vectors import VectorWriter, vectors_file
from qttrag.indexes.storage.workspace import BuildWorkspace
from qttrag.types import Passage, TokenWeights

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class ShardWriter:
    """Writes one shard after another. `dim`: dimensions of the vectors. `has_places`: of passages, in documents.
    `sparse`: with the weights of tokens, too."""

    def __init__(
        self, workspace: BuildWorkspace, journal: Journal, dim: int, *, has_places: bool = False, sparse: bool = False
    ) -> None:
        self._workspace = workspace
        self._journal = journal
        self._dim = dim
        self._has_places = has_places
        self._sparse = sparse
        self._open: _OpenShard | None = None

    def append(
        self,
        passages: Sequence[Passage],
        vectors: NDArray[np.floating],
        *,
        weights: TokenWeights | None = None,
        summary: ReadSummary | None = None,
        truncated: int = 0,
    ) -> None:
        """Add passages and their vectors, shape (n, dim), to the open shard; open one if there is none.

        `weights`: of their tokens, where the shard has them; `summary`: of reading their records; `truncated`: number
        of passages longer than the encoder reads."""
        if self._open is None:
            number = len(self._journal.shards)
            self._open = _OpenShard(
                self._workspace, number, self._dim, has_places=self._has_places, sparse=self._sparse
            )
        self._open.append(passages, vectors, summary or ReadSummary([], Counter(), Counter()), truncated)
        if weights is not None:
            self._open.append_weights(weights)

    def close(self, position: SourcePosition) -> None:
        """Finish the open shard, if any, and record it in the journal."""
        shard, self._open = self._open, None
        if shard is not None:
            self._journal.shards.append(shard.close(position))
            self._workspace.save_journal(self._journal)


class _OpenShard:
    """A shard that is being written to temporary files."""

    def __init__(self, workspace: BuildWorkspace, number: int, dim: int, *, has_places: bool, sparse: bool) -> None:
        names = [passages_file, vectors_file, *([weights_file] if sparse else [])]
        self._files = [workspace.index / name(workspace.first_shard + number) for name in names]
        self._ids_file = workspace.ids_file(number)
        self._streams = [temporary_path(path).open("wb") for path in self._files]
        self._passages = PassageWriter(self._streams[0], has_places=has_places)
        self._vectors = VectorWriter(self._streams[1], dim)
        self._weights = TokenWeightsWriter(self._streams[2]) if sparse else None
        self._langs: Counter[str] = Counter()
        self._skipped: Counter[str] = Counter()
        self._repaired: Counter[str] = Counter()
        self._ids: list[int] = []
        self._truncated = 0

    def append(
        self, passages: Sequence[Passage], vectors: NDArray[np.floating], summary: ReadSummary, truncated: int
    ) -> None:
        self._passages.append(passages)
        self._vectors.append(vectors)
        self._langs.update(passage.lang for passage in passages)
        self._skipped.update(summary.skipped)
        self._repaired.update(summary.repaired)
        self._ids += summary.ids
        self._truncated += truncated

    def append_weights(self, weights: TokenWeights) -> None:
        if self._weights is not None:
            self._weights.append(weights)

    def close(self, position: SourcePosition) -> FinishedShard:
        import numpy as np

        self._passages.close()
        self._vectors.close()
        if self._weights is not None:
            self._weights.close()
        for stream in self._streams:
            stream.close()
        with temporary_path(self._ids_file).open("wb") as stream:
            np.save(stream, np.array(self._ids, np.uint64), allow_pickle=False)
        commit(*self._files, self._ids_file)
        return FinishedShard(
            rows=self._langs.total(),
            position=position,
            langs=dict(self._langs),
            skipped=dict(self._skipped),
            repaired=dict(self._repaired),
            truncated=self._truncated,
            files={path.name: checksum(path) for path in self._files},
            ids=checksum(self._ids_file),
        )
