"""Passages on disk: memory-mapped Arrow IPC files, one per shard; row number -> passage."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from qttrag.errors import CollectionError
from qttrag.types import Lang, Passage, Place

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_FIRST_FILE = "passages.arrow"  # without number, as in indexes of one shard before there were several
_COLUMNS = ("passage_id", "title", "text", "lang")
_PLACE_COLUMNS = ("file", "page", "headings")  # only in files of passages that are cut from documents


def passages_file(shard: int) -> str:
    """Return the name of the file with a shard's passages."""
    return f"passages-{shard:05d}.arrow" if shard else _FIRST_FILE


class PassageWriter:
    """Appends passages to an open file, which is complete after `close`.

    `has_places`: the file has columns for the places of passages in documents."""

    def __init__(self, stream: BinaryIO, *, has_places: bool = False) -> None:
        import pyarrow as pa

        fields = [(name, pa.large_string()) for name in _COLUMNS]
        if has_places:
            types = (pa.large_string(), pa.int32(), pa.list_(pa.large_string()))
            fields += zip(_PLACE_COLUMNS, types, strict=True)
        self._has_places = has_places
        self._schema = pa.schema(fields)
        self._writer = pa.ipc.new_file(stream, self._schema)

    def append(self, passages: Sequence[Passage]) -> None:
        import pyarrow as pa

        columns: list[list[Any]] = [[getattr(passage, name) for passage in passages] for name in _COLUMNS]
        if self._has_places:
            places = [passage.place for passage in passages]
            columns += [[place and getattr(place, name) for place in places] for name in _PLACE_COLUMNS]
        arrays = [pa.array(c, field.type) for c, field in zip(columns, self._schema, strict=True)]
        self._writer.write_batch(pa.record_batch(arrays, schema=self._schema))

    def close(self) -> None:
        self._writer.close()


class Passages:
    """The passages of a built index. Raises OSError or pyarrow's errors if a file is damaged or missing.

    `removed`: the removed rows, ascending. `has_places`: some passages may be cut from documents."""

    def __init__(self, folder: Path, removed: NDArray[np.int64] | None = None) -> None:
        import numpy as np
        import pyarrow as pa

        self.removed = np.empty(0, np.int64) if removed is None else removed
        self._folder = folder
        paths = [folder / _FIRST_FILE, *sorted(folder.glob("passages-*.arrow"))]
        tables = [pa.ipc.open_file(pa.memory_map(str(path))).read_all() for path in paths]
        self._table: Any = pa.concat_tables(tables, promote_options="default")  # not every file has places
        self.has_places = _PLACE_COLUMNS[0] in self._table.column_names

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
        place = self._place(row) if self.has_places else None
        return Passage(cells["passage_id"], cells["text"], Lang(cells["lang"]), cells["title"], place)

    def _place(self, row: int) -> Place | None:
        file, page, headings = (self._table.column(name)[row].as_py() for name in _PLACE_COLUMNS)
        return None if file is None else Place(file, page, tuple(headings or ()))

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
