"""Passages on disk: one Arrow IPC file, memory-mapped, row number -> passage."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qttrag.types import Lang, Passage

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

FILE = "passages.arrow"
_COLUMNS = ("passage_id", "title", "text", "lang")


class PassageWriter:
    """Appends passages to a file; `close` makes it readable."""

    def __init__(self, path: Path) -> None:
        import pyarrow as pa

        self._schema = pa.schema([(name, pa.large_string()) for name in _COLUMNS])
        self._writer = pa.ipc.new_file(str(path), self._schema)

    def append(self, passages: Sequence[Passage]) -> None:
        import pyarrow as pa

        columns = [[getattr(passage, name) for passage in passages] for name in _COLUMNS]
        self._writer.write_batch(
            pa.record_batch([pa.array(c, pa.large_string()) for c in columns], schema=self._schema)
        )

    def close(self) -> None:
        self._writer.close()


class Passages:
    """The passages of a built index. Raises OSError or pyarrow's errors when the file is damaged."""

    def __init__(self, path: Path) -> None:
        import pyarrow as pa

        self._table: Any = pa.ipc.open_file(pa.memory_map(str(path))).read_all()

    def __len__(self) -> int:
        return int(self._table.num_rows)

    def __getitem__(self, row: int) -> Passage:
        cells = {name: self._table.column(name)[row].as_py() for name in _COLUMNS}
        return Passage(cells["passage_id"], cells["text"], Lang(cells["lang"]), cells["title"])

    def with_ids(self, ids: Sequence[str]) -> list[Passage]:
        """Return the passages that have one of the ids, in the order of their rows."""
        import pyarrow as pa
        import pyarrow.compute as pc

        mask = pc.is_in(self._table.column("passage_id"), value_set=pa.array(list(ids), pa.large_string()))
        return [self[row] for row in mask.to_numpy().nonzero()[0].tolist()]

    def rows_of(self, langs: Sequence[Lang]) -> NDArray[np.bool_]:
        """Return, for each row, whether its language is one of `langs`."""
        import pyarrow as pa
        import pyarrow.compute as pc

        wanted = pa.array(list(langs), pa.large_string())
        mask: NDArray[np.bool_] = pc.is_in(self._table.column("lang"), value_set=wanted).to_numpy()
        return mask
