"""Passages on disk: Arrow IPC files, one a shard, memory-mapped; row number -> passage."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from qttrag.errors import CollectionError
from qttrag.types import Lang, Passage

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_FIRST = "passages.arrow"  # the name of the only one, before there were several
_COLUMNS = ("passage_id", "title", "text", "lang")


def file(number: int) -> str:
    """Return the name of the file with the passages of a shard."""
    return f"passages-{number:05d}.arrow" if number else _FIRST


class PassageWriter:
    """Appends passages to an open file; `close` makes it readable."""

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
    """The passages of a built index. Raises OSError or pyarrow's errors when a file is damaged or missing.

    `removed`: rows, ascending, that are there and count no more."""

    def __init__(self, folder: Path, removed: NDArray[np.int64] | None = None) -> None:
        import numpy as np
        import pyarrow as pa

        self.removed = np.empty(0, np.int64) if removed is None else removed
        self._folder = folder
        paths = [folder / _FIRST, *sorted(folder.glob("passages-*.arrow"))]
        self._table: Any = pa.concat_tables([pa.ipc.open_file(pa.memory_map(str(path))).read_all() for path in paths])

    def __len__(self) -> int:
        return int(self._table.num_rows)

    def __getitem__(self, row: int) -> Passage:
        """Return the passage of a row.

        Raises:
            CollectionError: it is no text, so its file was damaged in a way that opening cannot see."""
        try:
            cells = {name: self._table.column(name)[row].as_py() for name in _COLUMNS}
        except UnicodeDecodeError as error:
            raise CollectionError(
                f"the passage of row {row} in {self._folder} is damaged ({error}); qttrag index verify "
                f"{self._folder.name} names the file"
            ) from error
        return Passage(cells["passage_id"], cells["text"], Lang(cells["lang"]), cells["title"])

    def take(self, rows: NDArray[np.int64]) -> list[Passage]:
        """Return the passages of `rows`, in the order asked for."""
        return [self[row] for row in rows.tolist()]  # Arrow's own `take` looks at every batch of a file for each call

    def with_ids(self, ids: Sequence[str]) -> list[Passage]:
        """Return the passages that have one of the ids and are not removed, in the order of their rows."""
        import pyarrow as pa
        import pyarrow.compute as pc

        mask = pc.is_in(self._table.column("passage_id"), value_set=pa.array(list(ids), pa.large_string())).to_numpy()
        return [self[row] for row in (mask & ~self.gone()).nonzero()[0].tolist()]

    def rows_of(self, langs: Sequence[Lang]) -> NDArray[np.bool_]:
        """Return, for each row, whether its language is one of `langs` and it is not removed."""
        import pyarrow as pa
        import pyarrow.compute as pc

        wanted = pa.array(list(langs), pa.large_string())
        mask: NDArray[np.bool_] = pc.is_in(self._table.column("lang"), value_set=wanted).to_numpy()
        return mask & ~self.gone()

    def gone(self) -> NDArray[np.bool_]:
        """Return, for each row, whether it is removed."""
        import numpy as np

        mask = np.zeros(len(self), bool)
        mask[self.removed] = True
        return mask

    def living(self) -> NDArray[np.int64]:
        """Return the rows that are not removed, ascending."""
        import numpy as np

        return np.flatnonzero(~self.gone())

    def ids(self) -> Iterator[Any]:
        """Yield the ids of all rows in their order, an Arrow array for some thousand at a time."""
        yield from self._table.column("passage_id").chunks

    def langs(self, rows: NDArray[np.int64]) -> dict[str, int]:
        """Return how many of `rows` are in each language."""
        counts = self._table.column("lang").take(rows).value_counts().to_pylist()
        return {count["values"]: count["counts"] for count in counts}
