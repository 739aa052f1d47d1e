"""An inverted file that is filled part by part, so that making it takes little more memory than it has in the end.

FAISS doubles the room of a list that is full: filled in one go, an index of many lists takes nearly twice its size. So
vectors are added to short lists, which are written aside and emptied; in the end lists of just their length are made of
all parts."""

from __future__ import annotations

import importlib
from collections.abc import Container, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qttrag.indexes.ann import first_stage
from qttrag.indexes.storage import atomic_files

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

ROWS = 2_000_000  # of a part, from which on it is written aside: 0.3 GB of 1024 bits


class Parts:
    """Files beside an empty, trained index, with plain lists. Vectors are added to the index itself.

    Parts that are there already count as added, from the first on, as long as each is whole and ends at one of `ends`;
    the others are removed. `files`: their path but for the number."""

    def __init__(self, index: Any, files: Path, ends: Container[int], *, part_rows: int = ROWS) -> None:
        self._index, self._files, self._part_rows = index, files, part_rows
        inverted: Any = first_stage.inverted(index)
        self._inverted = inverted
        self._lengths = _lengths(inverted)
        self.rows = self._number = 0
        for path in found(files):
            if self._is_next(path, ends):
                self._count()
            else:
                path.unlink()
        _own(inverted, _emptied(inverted))
        inverted.ntotal = index.ntotal = self.rows

    @property
    def full(self) -> bool:
        """Say whether enough was added since for a part."""
        return bool(self._index.ntotal - self.rows >= self._part_rows)

    def put_aside(self) -> None:
        """Write what was added since into a part of its own.

        Raises:
            OSError: there is no room for it."""
        atomic_files.write_faiss(
            _faiss().write_InvertedLists, self._inverted.invlists, _path(self._files, self._number)
        )
        self._count()
        _own(self._inverted, _emptied(self._inverted))

    def join(self) -> None:
        """Make the index hold all that was added.

        Raises:
            OSError: there is no room for it."""
        if self._number == 0:
            return
        if self._index.ntotal > self.rows:
            self.put_aside()
        _join(self._inverted, self._lengths, map(self._read, range(self._number)))

    def _is_next(self, path: Path, ends: Container[int]) -> bool:
        if path != _path(self._files, self._number):
            return False
        try:
            self._read(self._number)
        except RuntimeError:
            return False
        return self.rows + int(_lengths(self._inverted).sum()) in ends

    def _read(self, number: int) -> Any:
        reader = _faiss().FileIOReader(str(_path(self._files, number)))
        self._inverted.replace_invlists(_faiss().read_InvertedLists(reader), True)
        return self._inverted.invlists

    def _count(self) -> None:
        lengths = _lengths(self._inverted)
        self._lengths = self._lengths + lengths
        self.rows += int(lengths.sum())
        self._number += 1


def found(files: Path) -> list[Path]:
    """Return the parts there are, in order."""
    return sorted(files.parent.glob(f"{files.name}-?????"))


def extend(index: Any, blocks: Iterable[NDArray[np.float32]]) -> None:
    """Add vectors to an index with plain lists and whose own lists may be mapped from its file."""
    inverted: Any = first_stage.inverted(index)
    old, new = inverted.invlists, _emptied(inverted)
    inverted.own_invlists = False
    inverted.replace_invlists(new, False)
    for block in blocks:
        index.add(block)
    lengths = _lengths(inverted)
    inverted.replace_invlists(old, True)
    _join(inverted, lengths + _lengths(inverted), iter([old, new]))


def _join(inverted: Any, lengths: NDArray[np.int64], parts: Iterator[Any]) -> None:
    """Make lists of `lengths`, filled from all parts, the index's own; it may own one of these until the next."""
    import numpy as np

    made, filled = _emptied(inverted), np.zeros_like(lengths)
    for number, length in enumerate(lengths.tolist()):
        made.resize(number, length)
    for part in parts:
        for number in range(part.nlist):
            if n := part.list_size(number):
                made.update_entries(number, int(filled[number]), n, part.get_ids(number), part.get_codes(number))
                filled[number] += n
    _own(inverted, made)


def _own(inverted: Any, lists: Any) -> None:
    inverted.replace_invlists(lists, True)
    lists.this.disown()


def _emptied(inverted: Any) -> Any:
    return _faiss().ArrayInvertedLists(inverted.nlist, inverted.code_size)


def _lengths(inverted: Any) -> NDArray[np.int64]:
    import numpy as np

    lists = inverted.invlists
    return np.array([lists.list_size(number) for number in range(lists.nlist)], np.int64)


def _path(files: Path, number: int) -> Path:
    return files.with_name(f"{files.name}-{number:05d}")


def _faiss() -> Any:
    return importlib.import_module("faiss")  # its stubs lack what SWIG makes
