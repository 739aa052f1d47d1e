"""Vectors on disk: float16 shards, `vectors-00000.npy` and so on, rows in the order of the passages."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class VectorWriter:
    """Appends vectors to shards of `shard_rows` rows."""

    def __init__(self, folder: Path, *, shard_rows: int) -> None:
        self._folder = folder
        self._shard_rows = shard_rows
        self._waiting: list[NDArray[np.float16]] = []
        self._shards = 0

    def append(self, vectors: NDArray[np.float32]) -> None:
        import numpy as np

        self._waiting.append(vectors.astype(np.float16))
        while sum(map(len, self._waiting)) >= self._shard_rows:
            joined = np.concatenate(self._waiting)
            self._write(joined[: self._shard_rows])
            self._waiting = [joined[self._shard_rows :]]

    def close(self) -> None:
        import numpy as np

        if any(map(len, self._waiting)):
            self._write(np.concatenate(self._waiting))
            self._waiting = []

    def _write(self, rows: NDArray[np.float16]) -> None:
        import numpy as np

        np.save(self._folder / f"vectors-{self._shards:05d}.npy", rows, allow_pickle=False)
        self._shards += 1


class Vectors:
    """The vectors of a built index, memory-mapped. Raises OSError or ValueError when a shard is damaged."""

    def __init__(self, folder: Path) -> None:
        import numpy as np

        paths = sorted(folder.glob("vectors-*.npy"))
        self._shards = [np.load(path, mmap_mode="r", allow_pickle=False) for path in paths]
        self._starts = np.cumsum([0, *map(len, self._shards)])

    def __len__(self) -> int:
        return int(self._starts[-1])

    def __iter__(self) -> Iterator[NDArray[np.float32]]:
        """Yield the shards as float32, shape (rows, dim), one after another."""
        import numpy as np

        for shard in self._shards:
            yield np.asarray(shard, dtype=np.float32)

    def take(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return the vectors of `rows`, float32, shape (len(rows), dim), in the order asked for."""
        import numpy as np

        taken = np.empty((len(rows), self._shards[0].shape[1]), dtype=np.float32)
        shard_of = np.searchsorted(self._starts, rows, side="right") - 1
        for number in np.unique(shard_of):
            here = shard_of == number
            taken[here] = self._shards[number][rows[here] - self._starts[number]]
        return taken
