"""Vectors on disk: float16 shards, `vectors-00000.npy`, ..., with rows in the order of the passages."""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterator
from contextlib import suppress
from itertools import pairwise
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
    """One file of vectors. `stored`: float16, shape (rows, dim), memory-mapped. `data_start`: bytes before the rows."""

    def __init__(self, path: Path) -> None:
        import numpy as np
        from numpy.lib import format as npy

        self._path = path
        with path.open("rb") as stream:
            if npy.read_magic(stream) != (1, 0):
                raise ValueError(f"{path.name}: not a file of vectors")
            self.shape, is_fortran, dtype = npy.read_array_header_1_0(stream)
            self.data_start = stream.tell()
            if is_fortran or dtype != np.dtype("<f2") or len(self.shape) != 2:
                raise ValueError(f"{path.name}: not float16 vectors in row order")
            self._inode = os.fstat(stream.fileno()).st_ino
            self._map = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
        self._width = 2 * self.shape[1]
        self.stored = np.frombuffer(self._map, "<f2", self.shape[0] * self.shape[1], self.data_start).reshape(
            self.shape
        )
        self._advise("MADV_RANDOM")  # otherwise each row read brings the 128 KB around it

    def will_need(self, page: int, length: int) -> None:
        """Ask the system to read a part of the file, which begins at a page, from the disk; return at once."""
        self._advise("MADV_WILLNEED", page, length)

    def read(self, first: int, rows: int) -> NDArray[np.float32]:
        """Return consecutive rows, float32, read from the file.

        Raises:
            OSError: the index has been replaced since it was opened."""
        import numpy as np

        with self._path.open("rb") as stream:
            if os.fstat(stream.fileno()).st_ino != self._inode:
                raise OSError(f"{self._path} has been replaced since it was opened; open the index again")
            stream.seek(self.data_start + first * self._width)
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
        self._data_starts = np.array([shard.data_start for shard in self._shards], np.int64)

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
            inside = block - self._starts[shard_of]
            self._prefetch(shard_of, inside)
            runs = np.flatnonzero(np.diff(shard_of, prepend=-1)).tolist()  # beginnings of rows of one shard
            for first, end in pairwise([*runs, len(block)]):
                shard = self._shards[shard_of[first]]
                vectors[start + first : start + end] = shard.stored[inside[first:end]]
        return vectors

    def _prefetch(self, shard_of: NDArray[np.int64], inside: NDArray[np.int64]) -> None:
        """Ask the system to read rows from the disk in parallel, given their shards and their numbers there."""
        width = 2 * self.dim
        if not width:
            return
        begins = self._data_starts[shard_of] + inside * width
        pages = begins & -mmap.PAGESIZE
        lengths = begins - pages + width
        for number, page, length in zip(shard_of.tolist(), pages.tolist(), lengths.tolist(), strict=True):
            self._shards[number].will_need(page, length)
