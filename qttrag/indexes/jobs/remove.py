"""Removes passages from an index: their rows are recorded, and searches skip them."""

from __future__ import annotations

from collections import Counter, abc
from pathlib import Path
from typing import TYPE_CHECKING

from qttrag.errors import InputError
from qttrag.indexes.collection import Collection, find, open_index
from qttrag.indexes.storage.locking import exclusive_lock
from qttrag.indexes.storage.manifest import Manifest
from qttrag.indexes.storage.passage_ids import rows_of
from qttrag.indexes.storage.passages import Passages
from qttrag.indexes.storage.tombstones import write_removed

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_SHOWN_IDS = 5


def remove(name: str, ids: abc.Collection[str], *, missing_ok: bool = False) -> Manifest:
    """Remove passages from an index, by their own ids or those of their records, and return its manifest.

    Processes that have the index open continue with its former contents. Either all are removed or none.

    Raises:
        InputError: an id names no passage or record of the index, and `missing_ok` is off.
        CollectionError: the index is missing, damaged or locked, or its FAISS index cannot exclude rows."""
    folder = find(name).folder.resolve()
    with exclusive_lock(folder):
        index = open_index(str(folder), threads=1)
        rows, missing = rows_of(index.passages, ids)
        if missing and not missing_ok:
            shown = ", ".join(sorted(missing)[:_SHOWN_IDS]) + (", ..." if len(missing) > _SHOWN_IDS else "")
            raise InputError(
                f"index '{folder.name}' does not contain {len(missing)} of these {len(ids)} ids ({shown}); correct "
                "them, or ignore missing ids with --missing-ok"
            )
        before = index.manifest
        if not len(rows):
            return before
        _check_row_filter(index)
        after = mark_removed(before, index.passages, rows, folder)
        after.write(folder)
        for obsolete in before.files.keys() - after.files.keys():
            (folder / obsolete).unlink()
        return after


def mark_removed(manifest: Manifest, passages: Passages, rows: NDArray[np.int64], folder: Path) -> Manifest:
    """Write the removed rows, `rows` added, into `folder` and return the manifest that names the new file."""
    import numpy as np

    removed = np.union1d(passages.removed, rows)
    langs = Counter(manifest.langs)
    langs.subtract(passages.langs(np.setdiff1d(rows, passages.removed)))
    return manifest.model_copy(
        update={
            "removed": len(removed),
            "langs": {lang: n for lang, n in langs.items() if n},
            "files": write_removed(folder, manifest.files, removed),
        }
    )


def _check_row_filter(index: Collection) -> None:
    """Raise a CollectionError if FAISS cannot search this index without some rows."""
    import faiss
    import numpy as np

    query = index.vectors.take(np.zeros(1, np.int64))
    index.nearest(query, 1, selector=faiss.IDSelectorRange(0, 1))
