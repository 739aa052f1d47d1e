"""Ids of an index's passages and of the records they are cut from: "12#0" and "12"."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from qttrag.indexes.sources.id_sets import digest

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from qttrag.indexes.storage.passages import Passages

_PASSAGE_NUMBER = r"#\d+$"


def record_digests(passages: Passages, *, chunked: bool) -> NDArray[np.uint64]:
    """Return the digest of each passage's record id. `chunked`: records were cut into passages.

    Takes 8 bytes of memory per passage, and some 20 seconds for 39 million."""
    import numpy as np

    digests, last, value = np.empty(len(passages), np.uint64), None, 0
    row = 0
    for column in passages.ids():
        for record_id in (_record_ids(column) if chunked else column).to_pylist():
            if record_id != last:  # passages of one record are consecutive
                last, value = record_id, digest(record_id)
            digests[row] = value
            row += 1
    return digests


def rows_of(passages: Passages, ids: Collection[str]) -> tuple[NDArray[np.int64], set[str]]:
    """Return the rows of the passages and records that `ids` name, and the ids that name none.

    Removed rows do not count."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    values, missing, rows, start = pa.array(sorted(ids), pa.large_string()), set(ids), [], 0
    removed = passages.removed_mask()
    for column in passages.ids():
        records = _record_ids(column)
        matches = pc.or_(pc.is_in(column, value_set=values), pc.is_in(records, value_set=values)).to_numpy(False)
        matching = np.flatnonzero(matches & ~removed[start : start + len(column)])
        for names in (column, records):
            missing.difference_update(names.take(pa.array(matching)).to_pylist())
        rows.append(matching + start)
        start += len(column)
    return np.concatenate([np.empty(0, np.int64), *rows]), missing


def _record_ids(column: Any) -> Any:
    import pyarrow.compute as pc

    return pc.replace_substring_regex(column, _PASSAGE_NUMBER, "")
