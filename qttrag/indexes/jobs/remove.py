"""Removes passages from an index: their rows are recorded, and searches skip them."""

from __future__ import annotations

from collections import Counter, abc
from pathlib import Path
from typing import TYPE_CHECKING

from qttrag.errors import InputError
from qttrag.indexes.collection import Collection, find, open_index
from qttrag.indexes.recipe import Recipe
from qttrag.indexes.storage.locking import exclusive_lock
from qttrag.indexes.storage.manifest import Manifest, has_registry
from qttrag.indexes.storage.passage_ids import What, rows_of
from qttrag.indexes.storage.passages import Passages
from qttrag.indexes.storage.tombstones import write_removed

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_SHOWN_IDS = 5


def remove(name: str, ids: abc.Collection[str], *, what: What = "any", missing_ok: bool = False) -> Manifest:
    """Remove passages from an index, by their own ids or those of their records, and return its manifest.

    `what`: "records" and "passages" say what the ids name, which "a#1" leaves open if there is a record of that id and
    the record "a" has a second passage. Processes that have the index open continue with its former contents. Either
    all are removed or none.

    Raises:
        InputError: an id names no passage or record of the index, and `missing_ok` is off; or it names both a record
            and a passage of another one.
        CollectionError: the index is missing, damaged or locked, or its FAISS index cannot exclude rows."""
    folder = find(name).folder.resolve()
    with exclusive_lock(folder):
        index = open_index(str(folder), threads=1)
        if has_registry(index.manifest.files):
            raise InputError(
                f"index '{folder.name}' is made of documents: delete the file of one and run qttrag index build again, "
                "or delete an uploaded one over HTTP"
            )
        chunked = Recipe(**index.manifest.recipe).chunking.enabled
        rows, missing, ambiguous = rows_of(index.passages, ids, chunked=chunked, what=what)
        if missing and not missing_ok:
            raise InputError(
                f"index '{folder.name}' does not contain {len(missing)} of these {len(ids)} ids ({_shown(missing)}); "
                "correct them, or ignore missing ids with --missing-ok"
            )
        if ambiguous:
            raise InputError(
                f"index '{folder.name}': {len(ambiguous)} of these ids ({_shown(ambiguous)}) name a record and also "
                "a passage of another one; choose with --only records or --only passages"
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


def _shown(ids: set[str]) -> str:
    return ", ".join(sorted(ids)[:_SHOWN_IDS]) + (", ..." if len(ids) > _SHOWN_IDS else "")


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
