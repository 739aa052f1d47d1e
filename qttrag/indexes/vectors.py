"""Vectors on disk: float16 shards, `vectors-00000.npy` and so on, rows in the order of the passages."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def file(number: int) -> str:
    """Return the name of the file with the vectors of a shard."""
    return f"vectors-{number:05d}.npy"


class VectorWriter:
    """Appends vectors to an open file; `close` makes it readable. Nothing but what is appended is in memory."""

    def __init__(self, stream: BinaryIO, dim: int) -> None:
        self._stream = stream
        self._dim = dim
        self._rows = 0
        self._begins = self._header()

    def append(self, vectors: NDArray[np.float32]) -> None:
        self._stream.write(vectors.astype("<f2").tobytes())
        self._rows += len(vectors)

    def close(self) -> None:
        self._stream.seek(0)
        if self._header() != self._begins:
            raise AssertionError("numpy leaves room in a header for the number of rows to grow")

    def _header(self) -> int:
        """Write the header for the rows there are; return where it ends."""
        from numpy.lib import format as npy

        shape = (self._rows, self._dim)
        npy.write_array_header_1_0(self._stream, {"descr": "<f2", "fortran_order": False, "shape": shape})
        return self._stream.tell()


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
        return map(self.shard, range(len(self._shards)))

    def shard(self, number: int) -> NDArray[np.float32]:
        """Return the vectors of a shard, float32, shape (rows, dim)."""
        import numpy as np

        return np.asarray(self._shards[number], dtype=np.float32)

    def take(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return the vectors of `rows`, float32, shape (len(rows), dim), in the order asked for."""
        import numpy as np

        taken = np.empty((len(rows), self._shards[0].shape[1]), dtype=np.float32)
        shard_of = np.searchsorted(self._starts, rows, side="right") - 1
        for number in np.unique(shard_of):
            here = shard_of == number
            taken[here] = self._shards[number][rows[here] - self._starts[number]]
        return taken
