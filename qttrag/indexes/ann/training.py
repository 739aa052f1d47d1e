"""The FAISS index over a build's vectors: chosen, trained on a sample, filled shard by shard."""

from __future__ import annotations

import importlib
import math
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from qttrag.errors import ConfigError
from qttrag.indexes.ann import coarse_clustering as lists
from qttrag.indexes.ann import first_stage
from qttrag.indexes.ann import inverted_list_parts as parts
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
_PER_LIST = 39  # vectors a list of an inverted file is trained on, below which FAISS warns
_SAVE_SECONDS = 600.0  # of adding that may have to be done again
_TOGETHER = 16_384  # vectors added at once: 64 MB of 1024 dimensions, and as much again turned
_EXACT_ROWS = 100_000  # an exact scan of these takes some ten milliseconds
_ROWS_PER_LIST = 600
_MOST_LISTS = 65_536
_NODES_LINKED = 200  # of a graph over lists, looked at to link a list; of 65,536, FAISS's 40 lose one vector in five
_NODES_FOUND = 40  # and to find the list of a vector; FAISS has 16


def resolve(faiss: str, rows: int, dim: int) -> str:
    """Return the factory string that `auto` stands for with so many vectors; any other unchanged.

    A few are scanned as they are. More are in lists of some 600, found by a graph where there are thousands, a bit a
    dimension after a rotation: hits are scored with the stored vectors whatever the index keeps."""
    if faiss != AUTO:
        return faiss
    if rows <= _EXACT_ROWS:
        return "Flat"
    about = max(4 * rows**0.5, rows / _ROWS_PER_LIST)
    count = min(1 << round(math.log2(about)), _MOST_LISTS)
    return f"RR{dim},IVF{count}{'_HNSW64' if count >= lists.MANY else ''},RaBitQ"


def check(recipe: Recipe, dim: int) -> None:
    """Refuse, before anything is encoded, a factory string that FAISS does not know or cannot have in `dim`."""
    if recipe.faiss != AUTO:
        _made(recipe, recipe.faiss, dim, f"{dim} dimensions")


def write(
    recipe: Recipe,
    journal: Journal,
    workspace: BuildWorkspace,
    progress: Callable[[str, int], None],
    *,
    part_rows: int = parts.ROWS,
) -> str:
    """Write the FAISS index of all shards and return its factory string. Broken off, it goes on from its last save.

    `progress` is told the step, train or add, and the vectors done. In memory are the index, a part of it, one shard
    and, while it is trained, the sample.

    Raises:
        ConfigError: FAISS cannot make such an index of these vectors, or not search it by language. OSError: there is
        no room for it."""
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
    """Write into `folder` the FAISS index `base` with the vectors of further shards, which are there.

    In memory is what is written; lists of `base` are mapped from its file while they are copied. `progress` is told the
    vectors in it.

    Raises:
        OSError: there is no room for it. ConfigError: FAISS cannot add to such an index."""
    import faiss

    index, vectors = faiss.read_index(str(base), faiss.IO_FLAG_MMAP_IFC), Vectors(folder)

    def blocks() -> Iterator[NDArray[np.float32]]:
        for _, block in vectors.blocks(_TOGETHER, shards):
            yield block
            progress(index.ntotal)

    try:
        if first_stage.has_plain_lists(index):
            parts.extend(index, blocks())
        else:
            index = faiss.read_index(str(base))
            for block in blocks():
                index.add(block)
    except RuntimeError as error:
        raise ConfigError(
            f"{base}: FAISS cannot add to such an index ({_words(error)}); build it again from all sources"
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
    index = _made(recipe, factory, vectors.dim, f"{len(vectors)} vectors")
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
    """Train a FAISS index for `rows` vectors. `sample(n)` yields up to `n` of them in blocks, always the same.

    Raises:
        RuntimeError: there are too few."""
    import numpy as np

    inverted = first_stage.inverted(index)
    if inverted is not None:
        inverted.nprobe = min(inverted.nlist, max(8, inverted.nlist // 64))  # until it is tuned; FAISS has 1
        first_stage.widen(inverted.quantizer, _NODES_LINKED, _NODES_FOUND)
    if inverted is not None and lists.many(index) and rows >= inverted.nlist:
        progress(min(rows, lists.sampled(inverted.nlist)))
        lists.train(index, sample)
        return
    wanted = max(_TRAINING_VECTORS, _PER_LIST * (inverted.nlist if inverted is not None else 0))
    progress(min(rows, wanted))
    index.train(np.concatenate(list(sample(wanted))))


def _sample(vectors: Vectors, n: int) -> Iterator[NDArray[np.float32]]:
    import numpy as np

    rows = np.sort(np.random.default_rng(0).permutation(len(vectors))[:n])
    for start in range(0, len(rows), _TOGETHER):
        yield vectors.take(rows[start : start + _TOGETHER])


def _add(
    index: Any,
    vectors: Vectors,
    journal: Journal,
    workspace: BuildWorkspace,
    progress: Callable[[str, int], None],
    part_rows: int,
) -> None:
    aside = (
        parts.Parts(index, workspace.list_parts, _ends(journal), part_rows=part_rows)
        if first_stage.has_plain_lists(index)
        else None
    )
    saved = time.monotonic()
    for number, end in enumerate(_ends(journal)):
        if end <= index.ntotal:
            continue
        for _, block in vectors.blocks(_TOGETHER, range(number, number + 1)):
            index.add(block)
            progress("add", index.ntotal)
        if (aside is not None and aside.full) or time.monotonic() - saved > _SAVE_SECONDS:
            if aside is not None:
                aside.put_aside()
            else:
                _save(index, workspace.faiss_checkpoint)
            saved = time.monotonic()
    if aside is not None:
        aside.join()


def _made(recipe: Recipe, factory: str, dim: int, of: str) -> Any:
    import faiss

    try:
        return faiss.index_factory(dim, factory, faiss.METRIC_INNER_PRODUCT)
    except RuntimeError as error:
        raise _refused(recipe, factory, of, error) from error


def _refused(recipe: Recipe, factory: str, of: str, error: Exception) -> ConfigError:
    return ConfigError(
        f"recipe '{recipe.name}': FAISS cannot make '{factory}' of {of} ({_words(error)}); `faiss: Flat` "
        "always works, and what is encoded is kept when `faiss:` changes"
    )


def _check_filter(recipe: Recipe, factory: str, index: Any, query: NDArray[np.float32]) -> None:
    """Refuse an index that could not be searched in one of its languages alone."""
    faiss: Any = importlib.import_module("faiss")
    selector = faiss.IDSelectorRange(0, 1)
    try:
        index.search(query, 1, params=first_stage.parameters(index, first_stage.AS_BUILT, selector, 1))
    except RuntimeError as error:
        raise ConfigError(
            f"recipe '{recipe.name}': FAISS cannot search '{factory}' in some languages only "
            f"({_words(error)}), and the source has several; choose one that can (Flat, SQ8, HNSW32, "
            "whatever begins with IVF; what is encoded is kept), or make a collection of each language"
        ) from error


def _saved(path: Path, ends: list[int]) -> Any | None:
    """Return the index that was saved, if it is whole and holds whole shards; one that is filled in parts, none."""
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


def _words(error: Exception) -> str:
    return str(error).rsplit("\n", 1)[-1].rsplit(": ", 1)[-1].strip() or "no reason given"
