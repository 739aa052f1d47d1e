"""Learned weights of tokens on disk: an inverted index for each shard, `weights-00000.arrow`, ..., memory-mapped.

A file has one batch with a line for each token that occurs, in ascending order: `token`, the `rows` of the shard that
have it, ascending, and their `weights` (float16). A posting takes 6 bytes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

from qttrag.encoders.token_weights import chosen, stacked
from qttrag.types import TokenWeights

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def weights_file(shard: int) -> str:
    """Return the name of the file with the weights of a shard's tokens."""
    return f"weights-{shard:05d}.arrow"


class TokenWeightsWriter:
    """Writes an inverted index to an open file, which is complete after `close`. Until then it is in memory: 10 bytes
    for each token of each passage."""

    def __init__(self, stream: BinaryIO) -> None:
        import numpy as np

        self._stream = stream
        self._rows = 0
        self._parts = [(np.empty(0, np.int32), np.empty(0, np.int32), np.empty(0, np.float16))]

    def append(self, weights: TokenWeights) -> None:
        import numpy as np

        counts = np.diff(weights.starts)
        rows = np.repeat(np.arange(self._rows, self._rows + len(counts), dtype=np.int32), counts)
        self._parts.append((weights.tokens, rows, weights.weights.astype(np.float16)))
        self._rows += len(counts)

    def close(self) -> None:
        import numpy as np
        import pyarrow as pa

        tokens, rows, weights = (np.concatenate(column) for column in zip(*self._parts, strict=True))
        order = np.argsort(tokens, kind="stable")  # rows stay ascending
        distinct, starts = np.unique(tokens[order], return_index=True)
        offsets = pa.array(np.append(starts, len(tokens)), pa.int64())
        columns = {
            "token": pa.array(distinct, pa.int32()),
            "rows": pa.LargeListArray.from_arrays(offsets, pa.array(rows[order])),
            "weights": pa.LargeListArray.from_arrays(offsets, pa.array(weights[order])),
        }
        batch = pa.record_batch(columns).replace_schema_metadata({"rows": str(self._rows)})
        with pa.ipc.new_file(self._stream, batch.schema) as writer:
            writer.write_batch(batch)


class _Shard(NamedTuple):
    """One file. The postings of the n-th token are at `starts[n]:starts[n + 1]` of `rows` and `weights`."""

    n_rows: int
    tokens: NDArray[np.int32]
    starts: NDArray[np.int64]
    rows: NDArray[np.int32]
    weights: NDArray[np.float16]

    @classmethod
    def open(cls, path: Path) -> _Shard:
        import pyarrow as pa

        reader: Any = pa.ipc.open_file(pa.memory_map(str(path)))
        batch = reader.get_batch(0)
        rows, weights = batch.column("rows"), batch.column("weights")
        return cls(
            int(reader.schema.metadata[b"rows"]),
            batch.column("token").to_numpy(),
            rows.offsets.to_numpy(),
            rows.values.to_numpy(),
            weights.values.to_numpy(),
        )

    def score(self, question: TokenWeights) -> NDArray[np.float32]:
        """Return the products of a question's weights with those of each row, float32, shape (rows,)."""
        import numpy as np

        scores = np.zeros(self.n_rows, np.float32)
        places = np.searchsorted(self.tokens, question.tokens)
        for place, token, weight in zip(places.tolist(), question.tokens, question.weights, strict=True):
            if place < len(self.tokens) and self.tokens[place] == token:
                postings = slice(self.starts[place], self.starts[place + 1])
                scores[self.rows[postings]] += weight * self.weights[postings].astype(np.float32)
        return scores

    def by_row(self) -> TokenWeights:
        import numpy as np

        tokens = np.repeat(self.tokens, np.diff(self.starts))
        order = np.argsort(self.rows, kind="stable")  # tokens stay ascending
        starts = np.concatenate([np.zeros(1, np.int64), np.cumsum(np.bincount(self.rows, minlength=self.n_rows))])
        return TokenWeights(starts, tokens[order], self.weights[order].astype(np.float32))


class StoredTokenWeights:
    """The weights of a built index. Raises OSError, KeyError, TypeError or pyarrow's errors if a file is damaged."""

    def __init__(self, folder: Path) -> None:
        import numpy as np

        self._shards = [_Shard.open(path) for path in sorted(folder.glob("weights-*.arrow"))]
        self._starts = np.cumsum([0, *(shard.n_rows for shard in self._shards)])
        self._last_read: tuple[int, TokenWeights] | None = None

    def __len__(self) -> int:
        return int(self._starts[-1])

    def scores(self, question: TokenWeights) -> NDArray[np.float32]:
        """Return the products of a question's weights with those of each row, float32, shape (rows,).

        `question`: the weights of one text."""
        import numpy as np

        return np.concatenate([shard.score(question) for shard in self._shards])

    def take(self, rows: NDArray[np.int64]) -> TokenWeights:
        """Return the weights of `rows`, which are ascending. The shard of the last one stays in memory."""
        import numpy as np

        shard_of = np.searchsorted(self._starts, rows, side="right") - 1
        return stacked([self._of_shard(n, rows[shard_of == n] - self._starts[n]) for n in np.unique(shard_of).tolist()])

    def _of_shard(self, number: int, rows: NDArray[np.int64]) -> TokenWeights:
        if self._last_read is None or self._last_read[0] != number:
            self._last_read = number, self._shards[number].by_row()
        return chosen(self._last_read[1], rows)
