"""The removed rows of an index, in a file of their own: `removed-000000012.npy` for 12 rows."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qttrag.indexes.storage import atomic_files
from qttrag.indexes.storage.manifest import FileSum, checksum

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

PREFIX = "removed-"


def read_removed(folder: Path, files: Mapping[str, FileSum], rows: int) -> NDArray[np.int64]:
    """Return the removed rows of an index of `rows` passages, ascending.

    Raises:
        OSError: the file is missing. ValueError: it contains something else; numpy raises more for a bad header."""
    import numpy as np

    removed: Any = np.empty(0, np.int64)
    for name in files:
        if name.startswith(PREFIX):
            removed = np.load(folder / name, allow_pickle=False)
            is_rows = removed.dtype == np.int64 and removed.ndim == 1 and len(removed) > 0
            if not (is_rows and 0 <= removed.min() <= removed.max() < rows):
                raise ValueError(f"{name}: not row numbers of {rows} passages")
    result: NDArray[np.int64] = removed
    return result


def write_removed(folder: Path, files: Mapping[str, FileSum], rows: NDArray[np.int64]) -> dict[str, FileSum]:
    """Write the removed rows atomically; return `files` with the new file instead of the earlier one.

    The earlier one is not deleted: the manifest on disk still names it."""
    import numpy as np

    path = folder / f"{PREFIX}{len(rows):09d}.npy"
    with atomic_files.temporary_path(path).open("wb") as stream:
        np.save(stream, rows, allow_pickle=False)
    atomic_files.commit(path)
    others = {name: recorded for name, recorded in files.items() if not name.startswith(PREFIX)}
    return {**others, path.name: checksum(path)}
