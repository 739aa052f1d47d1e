"""The ids of an index's passages, and of the records they are pieces of: "12#0" and "12"."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from qttrag.indexes.sources.id_sets import digest

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from qttrag.indexes.storage.passages import Passages

_PIECE = r"#\d+$"


def of_records(passages: Passages, *, cut: bool) -> NDArray[np.uint64]:
    """Return a digest for each passage: of the id of its record. `cut`: records were cut into passages.

    In memory are 8 bytes a passage; 39 million take some 20 seconds."""
    import numpy as np

    found, last, value = np.empty(len(passages), np.uint64), None, 0
    row = 0
    for column in passages.ids():
        for record_id in (_records(column) if cut else column).to_pylist():
            if record_id != last:  # those of one record follow each other
                last, value = record_id, digest(record_id)
            found[row] = value
            row += 1
    return found


def rows_of(passages: Passages, wanted: Collection[str]) -> tuple[NDArray[np.int64], set[str]]:
    """Return the rows of the passages and records that `wanted` names, and those of `wanted` that none has.

    Rows that are removed already have no ids."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    values, missing, found, start = pa.array(sorted(wanted), pa.large_string()), set(wanted), [], 0
    gone = passages.gone()
    for column in passages.ids():
        records = _records(column)
        hit = pc.or_(pc.is_in(column, value_set=values), pc.is_in(records, value_set=values)).to_numpy(False)
        rows = np.flatnonzero(hit & ~gone[start : start + len(column)])
        for ids in (column, records):
            missing.difference_update(ids.take(pa.array(rows)).to_pylist())
        found.append(rows + start)
        start += len(column)
    return np.concatenate([np.empty(0, np.int64), *found]), missing


def _records(column: Any) -> Any:
    import pyarrow.compute as pc

    return pc.replace_substring_regex(column, _PIECE, "")
