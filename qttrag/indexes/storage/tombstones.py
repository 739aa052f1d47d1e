"""Rows of an index that are out, in a file of their own: `removed-000000012.npy` where there are 12."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qttrag.indexes.storage import atomic_files as durable
from qttrag.indexes.storage import manifest as manifests
from qttrag.indexes.storage.manifest import FileSum

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_BEGINS = "removed-"


def read(folder: Path, files: Mapping[str, FileSum], of: int) -> NDArray[np.int64]:
    """Return the rows of an index of `of` passages that are out, ascending.

    Raises:
        OSError: there is no such file. ValueError: it holds something else. Whatever numpy raises of a bad header."""
    import numpy as np

    found: Any = np.empty(0, np.int64)
    for name in files:
        if name.startswith(_BEGINS):
            found = np.load(folder / name, allow_pickle=False)
            if found.dtype != np.int64 or found.ndim != 1 or not (len(found) and 0 <= found.min() <= found.max() < of):
                raise ValueError(f"{name}: not row numbers of {of} passages")
    rows: NDArray[np.int64] = found
    return rows


def write(folder: Path, files: Mapping[str, FileSum], rows: NDArray[np.int64]) -> dict[str, FileSum]:
    """Write which rows are out, durably, and return `files` with that file instead of an earlier one.

    The earlier one stays until a manifest names the new one."""
    import numpy as np

    path = folder / f"{_BEGINS}{len(rows):09d}.npy"
    with durable.aside(path).open("wb") as stream:
        np.save(stream, rows, allow_pickle=False)
    durable.settle(path)
    kept = {name: recorded for name, recorded in files.items() if not name.startswith(_BEGINS)}
    return {**kept, path.name: manifests.checksum(path)}
