"""Measures the mean vector of each language of an index, and stores them with it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from qttrag.encoders import language_means
from qttrag.encoders.language_means import LanguageMeans
from qttrag.errors import CollectionError
from qttrag.indexes.collection import Collection, find, open_index
from qttrag.indexes.storage import atomic_files
from qttrag.indexes.storage.locking import exclusive_lock
from qttrag.indexes.storage.manifest import Manifest, checksum
from qttrag.types import Lang

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_BLOCK_ROWS = 8192  # vectors read at once


def measure_means(name: str, *, progress: Callable[[int], None] = lambda rows: None) -> tuple[Manifest, LanguageMeans]:
    """Measure the means of an index from its stored vectors, removed passages left out, and store them with it.

    They replace earlier ones. `append` and `remove` keep them as they are; `compact` measures them again.
    `progress`: called with the number of rows read.

    Raises:
        CollectionError: the index is missing, damaged, locked or without passages."""
    folder = find(name).folder.resolve()
    with exclusive_lock(folder):
        collection = open_index(str(folder), threads=1)
        before = collection.manifest
        if not before.langs:
            raise CollectionError(f"index '{before.name}' has no passage left; append some before measuring")
        means = means_of(collection, progress)
        path = means.write(folder)
        atomic_files.sync(path)
        atomic_files.sync(folder)
        obsolete = [file for file in before.files if file.startswith(language_means.PREFIX) and file != path.name]
        files = {file: recorded for file, recorded in before.files.items() if file not in obsolete}
        after = before.model_copy(update={"files": {**files, path.name: checksum(path)}})
        after.write(folder)
        for file in obsolete:
            (folder / file).unlink()
        return after, means


def means_of(collection: Collection, progress: Callable[[int], None] = lambda rows: None) -> LanguageMeans:
    """Return the means of an open index; sums are in double precision, so that they do not depend on the order."""
    import numpy as np

    langs = [Lang(lang) for lang in sorted(collection.manifest.langs)]
    numbers = collection.passages.language_numbers(langs)
    sums = np.zeros((len(langs), collection.vectors.dim))
    for first, vectors in collection.vectors.blocks(_BLOCK_ROWS):
        _add(sums, numbers[first : first + len(vectors)], vectors)
        progress(first + len(vectors))
    counts = np.bincount(numbers[numbers >= 0], minlength=len(langs))
    vectors = (sums / counts[:, None]).astype(np.float32)
    return LanguageMeans(collection.manifest.encoder_revision, tuple(langs), tuple(counts.tolist()), vectors)


def _add(sums: NDArray[np.float64], numbers: NDArray[np.int32], vectors: NDArray[np.float32]) -> None:
    """Add vectors to the sums of their languages; number -1 is none."""
    import numpy as np

    for number in np.unique(numbers[numbers >= 0]).tolist():
        sums[number] += vectors[numbers == number].sum(axis=0, dtype=np.float64)
