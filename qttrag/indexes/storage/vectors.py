"""Vectors on disk: float16 shards, `vectors-00000.npy`, ..., with rows in the order of the passages."""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_READ_AHEAD_ROWS = 8192  # rows requested from the disk before the first is read: 16 MB at 1024 dimensions


def vectors_file(shard: int) -> str:
    """Return the name of the file with a shard's vectors."""
    return f"vectors-{shard:05d}.npy"


class VectorWriter:
    """Appends vectors to an open file, which is complete after `close`. Earlier vectors are not kept in memory."""

    def __init__(self, stream: BinaryIO, dim: int) -> None:
        self._stream = stream
        self._dim = dim
        self._rows = 0
        self._data_start = self._write_header()

    def append(self, vectors: NDArray[np.float32]) -> None:
        self._stream.write(vectors.astype("<f2").tobytes())
        self._rows += len(vectors)

    def close(self) -> None:
        self._stream.seek(0)
        if self._write_header() != self._data_start:
            raise AssertionError("numpy pads its header so that the number of rows can grow")

    def _write_header(self) -> int:
        """Write the header for the current number of rows; return the offset of its end."""
        from numpy.lib import format as npy

        shape = (self._rows, self._dim)
        npy.write_array_header_1_0(self._stream, {"descr": "<f2", "fortran_order": False, "shape": shape})
        return self._stream.tell()


class _ShardFile:
    """One file of vectors. `stored`: float16, shape (rows, dim), memory-mapped."""

    def __init__(self, path: Path) -> None:
        import numpy as np
        from numpy.lib import format as npy

        self._path = path
        with path.open("rb") as stream:
            if npy.read_magic(stream) != (1, 0):
                raise ValueError(f"{path.name}: not a file of vectors")
            self.shape, is_fortran, dtype = npy.read_array_header_1_0(stream)
            self._data_start = stream.tell()
            if is_fortran or dtype != np.dtype("<f2") or len(self.shape) != 2:
                raise ValueError(f"{path.name}: not float16 vectors in row order")
            self._inode = os.fstat(stream.fileno()).st_ino
            self._map = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
        self._width = 2 * self.shape[1]
        self.stored = np.frombuffer(self._map, "<f2", self.shape[0] * self.shape[1], self._data_start).reshape(
            self.shape
        )
        self._advise("MADV_RANDOM")  # otherwise each row read brings the 128 KB around it

    def prefetch(self, rows: NDArray[np.int64]) -> None:
        """Ask the system to read the rows from the disk in parallel; return at once."""
        if self._width:
            starts = self._data_start + rows * self._width
            pages = starts & -mmap.PAGESIZE
            for page, length in zip(pages.tolist(), (starts - pages + self._width).tolist(), strict=True):
                self._advise("MADV_WILLNEED", page, length)

    def read(self, first: int, rows: int) -> NDArray[np.float32]:
        """Return consecutive rows, float32, read from the file.

        Raises:
            OSError: the index has been replaced since it was opened."""
        import numpy as np

        with self._path.open("rb") as stream:
            if os.fstat(stream.fileno()).st_ino != self._inode:
                raise OSError(f"{self._path} has been replaced since it was opened; open the index again")
            stream.seek(self._data_start + first * self._width)
            values = np.fromfile(stream, "<f2", rows * self.shape[1])
        return values.reshape(rows, self.shape[1]).astype(np.float32)

    def _advise(self, name: str, *span: int) -> None:
        if (advice := getattr(mmap, name, None)) is not None:  # Windows has none
            with suppress(OSError):  # advice only affects speed
                self._map.madvise(advice, *span)


class Vectors:
    """The vectors of a built index, memory-mapped. Raises OSError or ValueError if a shard is damaged."""

    def __init__(self, folder: Path) -> None:
        import numpy as np

        self._shards = [_ShardFile(path) for path in sorted(folder.glob("vectors-*.npy"))]
        self._starts = np.cumsum([0, *(shard.shape[0] for shard in self._shards)])

    def __len__(self) -> int:
        return int(self._starts[-1])

    def __iter__(self) -> Iterator[NDArray[np.float32]]:
        """Yield the shards in order, each float32, shape (rows, dim)."""
        return map(self.shard, range(len(self._shards)))

    @property
    def dim(self) -> int:
        return int(self._shards[0].shape[1])

    def shard(self, number: int) -> NDArray[np.float32]:
        """Return the vectors of a shard, float32, shape (rows, dim)."""
        return self._shards[number].read(0, self._shards[number].shape[0])

    def blocks(self, size: int, shards: range | None = None) -> Iterator[tuple[int, NDArray[np.float32]]]:
        """Yield (first row, vectors) for blocks of up to `size` vectors, in order. `shards`: None for all."""
        for number in range(len(self._shards)) if shards is None else shards:
            start, shard = int(self._starts[number]), self._shards[number]
            for first in range(0, shard.shape[0], size):
                yield start + first, shard.read(first, min(size, shard.shape[0] - first))

    def take(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return the vectors of `rows`, float32, shape (len(rows), dim), in the order of `rows`."""
        import numpy as np

        return self.stored(rows).astype(np.float32)

    def stored(self, rows: NDArray[np.int64]) -> NDArray[np.float16]:
        """Return the vectors of `rows` as stored, float16, in the order of `rows`. Ascending rows are read fastest."""
        import numpy as np

        vectors = np.empty((len(rows), self.dim), dtype=np.float16)
        for start in range(0, len(rows), _READ_AHEAD_ROWS):
            block = rows[start : start + _READ_AHEAD_ROWS]
            shard_of = np.searchsorted(self._starts, block, side="right") - 1
            positions = [(int(number), np.flatnonzero(shard_of == number)) for number in np.unique(shard_of)]
            for number, at in positions:
                self._shards[number].prefetch(block[at] - self._starts[number])
            for number, at in positions:
                vectors[start + at] = self._shards[number].stored[block[at] - self._starts[number]]
        return vectors
