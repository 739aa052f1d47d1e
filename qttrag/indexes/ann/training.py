"""Write the FAISS index of a build: choose its composition, train it on a sample, fill it shard by shard."""

from __future__ import annotations

import importlib
import math
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from qttrag.errors import ConfigError
from qttrag.indexes.ann import coarse_clustering, first_stage, inverted_list_parts
from qttrag.indexes.ann.inverted_list_parts import InvertedListParts
from qttrag.indexes.recipe import Recipe
from qttrag.indexes.storage import atomic_files
from qttrag.indexes.storage.journal import Journal
from qttrag.indexes.storage.vectors import Vectors
from qttrag.indexes.storage.workspace import BuildWorkspace

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

FAISS_FILE = "faiss.index"
AUTO = "auto"
_TRAINING_VECTORS = 200_000
_TRAINING_PER_LIST = 39  # vectors for each list of an inverted file; FAISS warns of fewer
_SAVE_SECONDS = 600.0  # between saves: the adding that a killed build repeats at most
_BLOCK_ROWS = 16_384  # vectors added at once: 64 MB of 1024 dimensions, and as much again after the rotation
_MAX_FLAT_ROWS = 100_000  # an exact scan of these takes some ten milliseconds
_ROWS_PER_LIST = 600
_MAX_LISTS = 65_536
_CONSTRUCTION_NODES = 200  # visited in a graph over lists to link a list; of 65,536, FAISS's 40 lose one vector in five
_SEARCH_NODES = 40  # visited to find the list of a vector; FAISS has 16


def resolve(faiss: str, rows: int, dim: int) -> str:
    """Return the factory string that `auto` stands for with `rows` vectors; any other string unchanged.

    Up to 100,000 vectors are scanned. More are rotated, stored with one bit per dimension, and divided into lists of
    about 600, which a graph finds where there are thousands. Hits are scored with the stored vectors in all cases."""
    if faiss != AUTO:
        return faiss
    if rows <= _MAX_FLAT_ROWS:
        return "Flat"
    about = max(4 * rows**0.5, rows / _ROWS_PER_LIST)
    count = min(1 << round(math.log2(about)), _MAX_LISTS)
    return f"RR{dim},IVF{count}{'_HNSW64' if count >= coarse_clustering.MANY_LISTS else ''},RaBitQ"


def check(recipe: Recipe, dim: int) -> None:
    """Raise ConfigError, before anything is encoded, for a factory string that is unknown or impossible in `dim`."""
    if recipe.faiss != AUTO:
        _create(recipe, recipe.faiss, dim, f"{dim} dimensions")


def write(
    recipe: Recipe,
    journal: Journal,
    workspace: BuildWorkspace,
    progress: Callable[[str, int], None],
    *,
    part_rows: int = inverted_list_parts.ROWS,
) -> str:
    """Write the FAISS index of all shards and return its factory string. An interrupted call resumes at its last save.

    `progress` gets the step, train or add, and the number of vectors done. `part_rows`: vectors added to an inverted
    file before they are written to a part. Memory holds the index, a part, one shard and, in training, the sample.

    Raises:
        ConfigError: FAISS cannot make such an index of these vectors, or cannot search it by language.
        OSError: the disk is full."""
    vectors = Vectors(workspace.index)
    factory = resolve(recipe.faiss, len(vectors), vectors.dim)
    if journal.faiss != factory:
        workspace.discard_faiss()
        journal.faiss = factory
        workspace.save_journal(journal)
    index = _saved(workspace.faiss_checkpoint, [0, *_ends(journal)])
    try:
        index = index or _trained(recipe, factory, vectors, workspace, progress)
        if len({lang for shard in journal.shards for lang in shard.langs}) > 1:
            _check_filter(recipe, factory, index, vectors.take(_first_rows(1)))
        _add(index, vectors, journal, workspace, progress, part_rows)
    except RuntimeError as error:
        raise _refused(recipe, factory, f"{len(vectors)} vectors", error) from error
    _save(index, workspace.index / FAISS_FILE)
    return factory


def extend(base: Path, folder: Path, shards: range, progress: Callable[[int], None]) -> None:
    """Write into `folder` the FAISS index `base` extended by the vectors of `shards`, which are in `folder`.

    Memory holds the new index; the lists of `base` are mapped from its file while they are copied. `progress` gets the
    number of vectors in the index.

    Raises:
        OSError: the disk is full. ConfigError: FAISS cannot add to such an index."""
    import faiss

    index, vectors = faiss.read_index(str(base), faiss.IO_FLAG_MMAP_IFC), Vectors(folder)

    def blocks() -> Iterator[NDArray[np.float32]]:
        for _, block in vectors.blocks(_BLOCK_ROWS, shards):
            yield block
            progress(index.ntotal)

    try:
        if first_stage.has_plain_lists(index):
            inverted_list_parts.extend(index, blocks())
        else:
            index = faiss.read_index(str(base))
            for block in blocks():
                index.add(block)
    except RuntimeError as error:
        raise ConfigError(
            f"{base}: FAISS cannot add to such an index ({_reason(error)}); build it again from all sources"
        ) from error
    _save(index, folder / FAISS_FILE)


def _first_rows(n: int) -> NDArray[np.int64]:
    import numpy as np

    return np.arange(n, dtype=np.int64)


def _ends(journal: Journal) -> list[int]:
    ends, rows = [], 0
    for shard in journal.shards:
        rows += shard.rows
        ends.append(rows)
    return ends


def _trained(
    recipe: Recipe, factory: str, vectors: Vectors, workspace: BuildWorkspace, progress: Callable[[str, int], None]
) -> Any:
    workspace.discard_faiss()
    index = _create(recipe, factory, vectors.dim, f"{len(vectors)} vectors")
    if not index.is_trained:
        train(index, lambda n: _sample(vectors, n), len(vectors), lambda n: progress("train", n))
        _save(index, workspace.faiss_checkpoint)
    return index


def train(
    index: Any,
    sample: Callable[[int], Iterator[NDArray[np.float32]]],
    rows: int,
    progress: Callable[[int], None] = lambda n: None,
) -> None:
    """Train a FAISS index for `rows` vectors. `sample(n)` yields up to `n` of them in blocks, the same at each call.

    Raises:
        RuntimeError: there are too few vectors."""
    import numpy as np

    inverted = first_stage.inverted(index)
    if inverted is not None:
        inverted.nprobe = min(inverted.nlist, max(8, inverted.nlist // 64))  # until the index is tuned; FAISS has 1
        first_stage.set_graph_effort(inverted.quantizer, construction=_CONSTRUCTION_NODES, search=_SEARCH_NODES)
    if inverted is not None and coarse_clustering.has_many_lists(index) and rows >= inverted.nlist:
        progress(min(rows, coarse_clustering.sample_size(inverted.nlist)))
        coarse_clustering.train(index, sample)
        return
    size = max(_TRAINING_VECTORS, _TRAINING_PER_LIST * (inverted.nlist if inverted is not None else 0))
    progress(min(rows, size))
    index.train(np.concatenate(list(sample(size))))


def _sample(vectors: Vectors, n: int) -> Iterator[NDArray[np.float32]]:
    import numpy as np

    rows = np.sort(np.random.default_rng(0).permutation(len(vectors))[:n])
    for start in range(0, len(rows), _BLOCK_ROWS):
        yield vectors.take(rows[start : start + _BLOCK_ROWS])


def _add(
    index: Any,
    vectors: Vectors,
    journal: Journal,
    workspace: BuildWorkspace,
    progress: Callable[[str, int], None],
    part_rows: int,
) -> None:
    parts = None
    if first_stage.has_plain_lists(index):
        parts = InvertedListParts(index, workspace.list_parts, _ends(journal), part_rows=part_rows)
    saved = time.monotonic()
    for number, end in enumerate(_ends(journal)):
        if end <= index.ntotal:
            continue
        for _, block in vectors.blocks(_BLOCK_ROWS, range(number, number + 1)):
            index.add(block)
            progress("add", index.ntotal)
        if (parts is not None and parts.is_full) or time.monotonic() - saved > _SAVE_SECONDS:
            if parts is not None:
                parts.write_part()
            else:
                _save(index, workspace.faiss_checkpoint)
            saved = time.monotonic()
    if parts is not None:
        parts.join()


def _create(recipe: Recipe, factory: str, dim: int, size: str) -> Any:
    import faiss

    try:
        return faiss.index_factory(dim, factory, faiss.METRIC_INNER_PRODUCT)
    except RuntimeError as error:
        raise _refused(recipe, factory, size, error) from error


def _refused(recipe: Recipe, factory: str, size: str, error: Exception) -> ConfigError:
    return ConfigError(
        f"recipe '{recipe.name}': FAISS cannot make '{factory}' of {size} ({_reason(error)}); `faiss: Flat` "
        "always works, and encoded passages are kept when `faiss:` changes"
    )


def _check_filter(recipe: Recipe, factory: str, index: Any, query: NDArray[np.float32]) -> None:
    """Raise ConfigError for an index that cannot be searched in one of its languages only."""
    faiss: Any = importlib.import_module("faiss")
    selector = faiss.IDSelectorRange(0, 1)
    try:
        index.search(query, 1, params=first_stage.parameters(index, first_stage.AS_BUILT, selector, 1))
    except RuntimeError as error:
        raise ConfigError(
            f"recipe '{recipe.name}': FAISS cannot search '{factory}' in some languages only "
            f"({_reason(error)}), and the source has several; choose one that can (Flat, SQ8, HNSW32, "
            "all that begin with IVF; encoded passages are kept), or build one collection per language"
        ) from error


def _saved(path: Path, ends: list[int]) -> Any | None:
    """Return the saved index if it is complete and ends with a shard; if it is filled in parts, only the empty one."""
    import faiss

    if not path.exists():
        return None
    try:
        index = faiss.read_index(str(path))
    except RuntimeError:
        return None
    return index if index.ntotal in ([0] if first_stage.has_plain_lists(index) else ends) else None


def _save(index: Any, path: Path) -> None:
    import faiss

    atomic_files.write_faiss(faiss.write_index, index, path)


def _reason(error: Exception) -> str:
    return str(error).rsplit("\n", 1)[-1].rsplit(": ", 1)[-1].strip() or "no reason given"
