"""Passages on disk: memory-mapped Arrow IPC files, one per shard; row number -> passage."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from qttrag.errors import CollectionError
from qttrag.types import Lang, Passage

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_FIRST_FILE = "passages.arrow"  # without number, as in indexes of one shard before there were several
_COLUMNS = ("passage_id", "title", "text", "lang")


def passages_file(shard: int) -> str:
    """Return the name of the file with a shard's passages."""
    return f"passages-{shard:05d}.arrow" if shard else _FIRST_FILE


class PassageWriter:
    """Appends passages to an open file, which is complete after `close`."""

    def __init__(self, stream: BinaryIO) -> None:
        import pyarrow as pa

        self._schema = pa.schema([(name, pa.large_string()) for name in _COLUMNS])
        self._writer = pa.ipc.new_file(stream, self._schema)

    def append(self, passages: Sequence[Passage]) -> None:
        import pyarrow as pa

        columns = [[getattr(passage, name) for passage in passages] for name in _COLUMNS]
        self._writer.write_batch(
            pa.record_batch([pa.array(c, pa.large_string()) for c in columns], schema=self._schema)
        )

    def close(self) -> None:
        self._writer.close()


class Passages:
    """The passages of a built index. Raises OSError or pyarrow's errors if a file is damaged or missing.

    `removed`: the removed rows, ascending."""

    def __init__(self, folder: Path, removed: NDArray[np.int64] | None = None) -> None:
        import numpy as np
        import pyarrow as pa

        self.removed = np.empty(0, np.int64) if removed is None else removed
        self._folder = folder
        paths = [folder / _FIRST_FILE, *sorted(folder.glob("passages-*.arrow"))]
        self._table: Any = pa.concat_tables([pa.ipc.open_file(pa.memory_map(str(path))).read_all() for path in paths])

    def __len__(self) -> int:
        return int(self._table.num_rows)

    def __getitem__(self, row: int) -> Passage:
        """Return the passage of a row.

        Raises:
            CollectionError: it is not UTF-8: the file was damaged in a way that opening does not detect."""
        try:
            cells = {name: self._table.column(name)[row].as_py() for name in _COLUMNS}
        except UnicodeDecodeError as error:
            raise CollectionError(
                f"the passage of row {row} in {self._folder} is damaged ({error}); qttrag index verify "
                f"{self._folder.name} names the file"
            ) from error
        return Passage(cells["passage_id"], cells["text"], Lang(cells["lang"]), cells["title"])

    def take(self, rows: NDArray[np.int64]) -> list[Passage]:
        """Return the passages of `rows`, in the order of `rows`."""
        return [self[row] for row in rows.tolist()]  # Arrow's `take` visits every batch of a file on each call

    def with_ids(self, ids: Sequence[str]) -> list[Passage]:
        """Return the passages with one of these ids, without removed ones, in row order."""
        import pyarrow as pa
        import pyarrow.compute as pc

        mask = pc.is_in(self._table.column("passage_id"), value_set=pa.array(list(ids), pa.large_string())).to_numpy()
        return [self[row] for row in (mask & ~self.removed_mask()).nonzero()[0].tolist()]

    def rows_of(self, langs: Sequence[Lang]) -> NDArray[np.bool_]:
        """Return a mask of the rows whose language is one of `langs` and that are not removed."""
        import pyarrow as pa
        import pyarrow.compute as pc

        values = pa.array(list(langs), pa.large_string())
        mask: NDArray[np.bool_] = pc.is_in(self._table.column("lang"), value_set=values).to_numpy()
        return mask & ~self.removed_mask()

    def language_numbers(self, langs: Sequence[Lang]) -> NDArray[np.int32]:
        """Return, for each row, the position of its language in `langs`; -1 for other languages and removed rows."""
        import numpy as np
        import pyarrow as pa
        import pyarrow.compute as pc

        found = pc.index_in(self._table.column("lang"), value_set=pa.array(list(langs), pa.large_string()))
        numbers: NDArray[np.int32] = found.fill_null(-1).to_numpy().astype(np.int32)
        numbers[self.removed] = -1
        return numbers

    def removed_mask(self) -> NDArray[np.bool_]:
        """Return a mask of the removed rows."""
        import numpy as np

        mask = np.zeros(len(self), bool)
        mask[self.removed] = True
        return mask

    def remaining_rows(self) -> NDArray[np.int64]:
        """Return the rows that are not removed, ascending."""
        import numpy as np

        return np.flatnonzero(~self.removed_mask())

    def ids(self) -> Iterator[Any]:
        """Yield the ids of all rows in order, as Arrow arrays of some thousand each."""
        yield from self._table.column("passage_id").chunks

    def langs(self, rows: NDArray[np.int64]) -> dict[str, int]:
        """Return the number of `rows` by language."""
        counts = self._table.column("lang").take(rows).value_counts().to_pylist()
        return {count["values"]: count["counts"] for count in counts}
