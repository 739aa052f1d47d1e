"""Fill an inverted file in parts, so that building it takes little more memory than the finished index.

FAISS doubles the room of a list that is full: filled in one go, an index of many lists takes nearly twice its size. So
vectors are added to short lists, which are written to a file and emptied; at the end, lists of the exact length are
filled from all parts."""

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

ROWS = 2_000_000  # of a part: 0.3 GB with 1024 bits a row


class InvertedListParts:
    """Parts of an inverted file with plain lists, in files. Vectors are added to the index itself, empty and trained.

    `files`: path of the parts, without their number. Parts from an interrupted build are used, from the first on, as
    long as each is complete and ends at one of the rows `ends`; the others are deleted."""

    def __init__(self, index: Any, files: Path, ends: Container[int], *, part_rows: int = ROWS) -> None:
        self._index, self._files, self._part_rows = index, files, part_rows
        inverted: Any = first_stage.inverted(index)
        self._inverted = inverted
        self._lengths = _list_lengths(inverted)
        self.rows = self._number = 0
        for path in part_files(files):
            if self._is_next(path, ends):
                self._count_lists()
            else:
                path.unlink()
        _set_lists(inverted, _empty_lists(inverted))
        inverted.ntotal = index.ntotal = self.rows

    @property
    def is_full(self) -> bool:
        """Return whether the vectors added since the last part are enough for another."""
        return bool(self._index.ntotal - self.rows >= self._part_rows)

    def write_part(self) -> None:
        """Write the vectors added since the last part into another, and empty the lists.

        Raises:
            OSError: the disk is full."""
        path = _part_file(self._files, self._number)
        atomic_files.write_faiss(_faiss().write_InvertedLists, self._inverted.invlists, path)
        self._count_lists()
        _set_lists(self._inverted, _empty_lists(self._inverted))

    def join(self) -> None:
        """Fill the index from all parts.

        Raises:
            OSError: the disk is full."""
        if self._number == 0:
            return
        if self._index.ntotal > self.rows:
            self.write_part()
        _fill(self._inverted, self._lengths, map(self._read, range(self._number)))

    def _is_next(self, path: Path, ends: Container[int]) -> bool:
        """Read a part; return whether it is the next one, complete, and ends at one of `ends`."""
        if path != _part_file(self._files, self._number):
            return False
        try:
            self._read(self._number)
        except RuntimeError:
            return False
        return self.rows + int(_list_lengths(self._inverted).sum()) in ends

    def _read(self, number: int) -> Any:
        reader = _faiss().FileIOReader(str(_part_file(self._files, number)))
        self._inverted.replace_invlists(_faiss().read_InvertedLists(reader), True)
        return self._inverted.invlists

    def _count_lists(self) -> None:
        lengths = _list_lengths(self._inverted)
        self._lengths = self._lengths + lengths
        self.rows += int(lengths.sum())
        self._number += 1


def part_files(files: Path) -> list[Path]:
    """Return the existing parts, in order. `files`: their path without the number."""
    return sorted(files.parent.glob(f"{files.name}-?????"))


def extend(index: Any, blocks: Iterable[NDArray[np.float32]]) -> None:
    """Add vectors to an index with plain lists, which may be memory-mapped from its file."""
    inverted: Any = first_stage.inverted(index)
    old, new = inverted.invlists, _empty_lists(inverted)
    inverted.own_invlists = False
    inverted.replace_invlists(new, False)
    for block in blocks:
        index.add(block)
    lengths = _list_lengths(inverted)
    inverted.replace_invlists(old, True)
    _fill(inverted, lengths + _list_lengths(inverted), iter([old, new]))


def _fill(inverted: Any, lengths: NDArray[np.int64], parts: Iterator[Any]) -> None:
    """Replace the lists of an index by lists of `lengths`, filled from all parts.

    A part may belong to the index until the next one is read."""
    import numpy as np

    lists, filled = _empty_lists(inverted), np.zeros_like(lengths)
    for number, length in enumerate(lengths.tolist()):
        lists.resize(number, length)
    for part in parts:
        for number in range(part.nlist):
            if n := part.list_size(number):
                lists.update_entries(number, int(filled[number]), n, part.get_ids(number), part.get_codes(number))
                filled[number] += n
    _set_lists(inverted, lists)


def _set_lists(inverted: Any, lists: Any) -> None:
    """Make the index the owner of its new lists."""
    inverted.replace_invlists(lists, True)
    lists.this.disown()


def _empty_lists(inverted: Any) -> Any:
    return _faiss().ArrayInvertedLists(inverted.nlist, inverted.code_size)


def _list_lengths(inverted: Any) -> NDArray[np.int64]:
    import numpy as np

    lists = inverted.invlists
    return np.array([lists.list_size(number) for number in range(lists.nlist)], np.int64)


def _part_file(files: Path, number: int) -> Path:
    return files.with_name(f"{files.name}-{number:05d}")


def _faiss() -> Any:
    return importlib.import_module("faiss")  # its stubs lack the classes that SWIG generates
