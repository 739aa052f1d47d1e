"""Passages that are taken out of an index: their rows are written down, and searches pass them over."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

from qttrag.errors import InputError
from qttrag.indexes import collection as search
from qttrag.indexes.storage import locking as safely
from qttrag.indexes.storage import passage_ids as ids
from qttrag.indexes.storage import tombstones
from qttrag.indexes.storage.manifest import Manifest
from qttrag.indexes.storage.passages import Passages

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_SHOWN = 5  # ids told in one message


def remove(name: str, wanted: Collection[str], *, missing_ok: bool = False) -> Manifest:
    """Take passages out of an index, by their ids or those of their records, and return its manifest.

    An index that is open goes on with what it had. Broken off, all of them are out or none is.

    Raises:
        InputError: the index has no passage or record of such an id, and `missing_ok` is off.
        CollectionError: there is no such index, it is damaged, in work, or cannot be searched without some rows."""
    folder = search.find(name).folder.resolve()
    with safely.alone(folder):
        collection = search.open_index(str(folder), threads=1)
        rows, missing = ids.rows_of(collection.passages, wanted)
        if missing and not missing_ok:
            shown = ", ".join(sorted(missing)[:_SHOWN]) + (", ..." if len(missing) > _SHOWN else "")
            raise InputError(
                f"index '{folder.name}' has no {len(missing)} of these {len(wanted)} ids ({shown}); correct them, or "
                "pass over those it has not with --missing-ok"
            )
        before = collection.manifest
        if not len(rows):
            return before
        _check_searchable(collection)
        after = without(before, collection.passages, rows, folder)
        after.write(folder)
        for name_before in before.files.keys() - after.files.keys():
            (folder / name_before).unlink()
        return after


def without(manifest: Manifest, passages: Passages, rows: NDArray[np.int64], folder: Path) -> Manifest:
    """Write into `folder` which rows are out when `rows` are too, and return the manifest that says so."""
    import numpy as np

    removed = np.union1d(passages.removed, rows)
    langs = Counter(manifest.langs)
    langs.subtract(passages.langs(np.setdiff1d(rows, passages.removed)))
    return manifest.model_copy(
        update={
            "removed": len(removed),
            "langs": {lang: n for lang, n in langs.items() if n},
            "files": tombstones.write(folder, manifest.files, removed),
        }
    )


def _check_searchable(collection: search.Collection) -> None:
    import faiss
    import numpy as np

    query = collection.vectors.take(np.zeros(1, np.int64))
    collection.nearest(query, 1, selector=faiss.IDSelectorRange(0, 1))
