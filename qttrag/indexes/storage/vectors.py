"""Vectors on disk: float16 shards, `vectors-00000.npy` and so on, rows in the order of the passages."""

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

_TOGETHER = 8192  # rows asked of the disk before the first is read: 16 MB of 1024 dimensions


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


class _Shard:
    """One file of vectors. `stored`: float16, shape (rows, dim), memory-mapped, read page by page."""

    def __init__(self, path: Path) -> None:
        import numpy as np
        from numpy.lib import format as npy

        self._path = path
        with path.open("rb") as stream:
            if npy.read_magic(stream) != (1, 0):
                raise ValueError(f"{path.name}: not a file of vectors")
            self.shape, by_column, dtype = npy.read_array_header_1_0(stream)
            self._begins = stream.tell()
            if by_column or dtype != np.dtype("<f2") or len(self.shape) != 2:
                raise ValueError(f"{path.name}: not float16 vectors, row by row")
            self._file = os.fstat(stream.fileno()).st_ino
            self._map = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
        self._width = 2 * self.shape[1]
        self.stored = np.frombuffer(self._map, "<f2", self.shape[0] * self.shape[1], self._begins).reshape(self.shape)
        self._advise("MADV_RANDOM")  # else each row that is read brings the 128 KB around it

    def expect(self, rows: NDArray[np.int64]) -> None:
        """Have the rows read from the disk, all at the same time, while this returns at once."""
        if self._width:
            starts = self._begins + rows * self._width
            pages = starts & -mmap.PAGESIZE
            for page, length in zip(pages.tolist(), (starts - pages + self._width).tolist(), strict=True):
                self._advise("MADV_WILLNEED", page, length)

    def read(self, first: int, rows: int) -> NDArray[np.float32]:
        """Return rows one after another, float32, read as a file is.

        Raises:
            OSError: the index was replaced since it was opened."""
        import numpy as np

        with self._path.open("rb") as stream:
            if os.fstat(stream.fileno()).st_ino != self._file:
                raise OSError(f"{self._path} is another file than was opened; open the index again")
            stream.seek(self._begins + first * self._width)
            found = np.fromfile(stream, "<f2", rows * self.shape[1])
        return found.reshape(rows, self.shape[1]).astype(np.float32)

    def _advise(self, name: str, *where: int) -> None:
        if (advice := getattr(mmap, name, None)) is not None:  # Windows has none
            with suppress(OSError):  # it only makes things faster
                self._map.madvise(advice, *where)


class Vectors:
    """The vectors of a built index, memory-mapped. Raises OSError or ValueError when a shard is damaged."""

    def __init__(self, folder: Path) -> None:
        import numpy as np

        self._shards = [_Shard(path) for path in sorted(folder.glob("vectors-*.npy"))]
        self._starts = np.cumsum([0, *(shard.shape[0] for shard in self._shards)])

    def __len__(self) -> int:
        return int(self._starts[-1])

    def __iter__(self) -> Iterator[NDArray[np.float32]]:
        """Yield the shards as float32, shape (rows, dim), one after another."""
        return map(self.shard, range(len(self._shards)))

    @property
    def dim(self) -> int:
        return int(self._shards[0].shape[1])

    def shard(self, number: int) -> NDArray[np.float32]:
        """Return the vectors of a shard, float32, shape (rows, dim)."""
        return self._shards[number].read(0, self._shards[number].shape[0])

    def blocks(self, size: int, shards: range | None = None) -> Iterator[tuple[int, NDArray[np.float32]]]:
        """Yield vectors in their order, up to `size` at a time, each block with the row that it begins at.

        `shards`: only those; None: all."""
        for number in range(len(self._shards)) if shards is None else shards:
            start, shard = int(self._starts[number]), self._shards[number]
            for first in range(0, shard.shape[0], size):
                yield start + first, shard.read(first, min(size, shard.shape[0] - first))

    def take(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return the vectors of `rows`, float32, shape (len(rows), dim), in the order asked for."""
        import numpy as np

        return self.stored(rows).astype(np.float32)

    def stored(self, rows: NDArray[np.int64]) -> NDArray[np.float16]:
        """Return the vectors of `rows` as they are stored, float16, in the order asked for.

        The disk is asked for some thousand at once before the first is read; it answers ascending rows fastest."""
        import numpy as np

        taken = np.empty((len(rows), self.dim), dtype=np.float16)
        for start in range(0, len(rows), _TOGETHER):
            part = rows[start : start + _TOGETHER]
            shard_of = np.searchsorted(self._starts, part, side="right") - 1
            places = [(int(number), np.flatnonzero(shard_of == number)) for number in np.unique(shard_of)]
            for number, at in places:
                self._shards[number].expect(part[at] - self._starts[number])
            for number, at in places:
                taken[start + at] = self._shards[number].stored[part[at] - self._starts[number]]
        return taken
