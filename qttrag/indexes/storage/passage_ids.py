"""Ids of an index's passages and of the records they are cut from: "12#0" and "12"."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from qttrag.indexes.sources.id_sets import digest

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from qttrag.indexes.storage.passages import Passages

What = Literal["any", "records", "passages"]
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


class Matches(NamedTuple):
    """The rows that ids name, removed rows excluded. `missing`: ids that name none.

    `ambiguous`: ids that name a whole record and also a passage of another one."""

    rows: NDArray[np.int64]
    missing: set[str]
    ambiguous: set[str]


def rows_of(passages: Passages, ids: Collection[str], *, chunked: bool, what: What = "any") -> Matches:
    """Return the rows of the passages and records that `ids` name. `chunked`: records were cut into passages.

    `what`: "records" and "passages" restrict what an id may name."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    values = pa.array(sorted(ids), pa.large_string())
    removed, start = passages.removed_mask(), 0
    rows, as_passage, as_record = [np.empty(0, np.int64)], set[str](), set[str]()
    for column in passages.ids():
        remaining = ~removed[start : start + len(column)]
        mask = np.zeros(len(column), bool)
        for names, matched in _names(column, as_passage, as_record, chunked=chunked, what=what):
            matching = pc.is_in(names, value_set=values).to_numpy(False) & remaining
            mask |= matching
            if matched is as_record and what == "any":  # a passage without a number is called like its own record
                matching &= pc.not_equal(names, column).to_numpy(False)
            matched.update(names.filter(pa.array(matching)).unique().to_pylist())
        rows.append(np.flatnonzero(mask) + start)
        start += len(column)
    return Matches(np.concatenate(rows), set(ids) - as_passage - as_record, as_passage & as_record)


def _names(
    column: Any, as_passage: set[str], as_record: set[str], *, chunked: bool, what: What
) -> Iterator[tuple[Any, set[str]]]:
    """Yield what the rows of a column can be called, each with the set of the ids that match."""
    if what != "records" or not chunked:
        yield column, as_passage
    if what != "passages" and chunked:
        yield _record_ids(column), as_record


def _record_ids(column: Any) -> Any:
    import pyarrow.compute as pc

    return pc.replace_substring_regex(column, _PASSAGE_NUMBER, "")
