"""Built indexes, opened: checked, memory-mapped, searched."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from qttrag import resources
from qttrag.errors import CollectionError, unknown
from qttrag.indexes import filtering
from qttrag.indexes import manifest as manifests
from qttrag.indexes.manifest import Manifest, again
from qttrag.indexes.passages import Passages
from qttrag.indexes.training import FAISS_FILE
from qttrag.indexes.vectors import Vectors
from qttrag.types import Hit, Lang

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_SPARE = 32  # candidates beyond k, so that ties at the edge are broken by id and not by position


class Located(NamedTuple):
    folder: Path
    manifest: Manifest


def built() -> list[str]:
    """Return the names of the built indexes."""
    folder = resources.built_folder()
    return sorted(path.parent.name for path in folder.glob(f"[!.]*/{manifests.FILE}"))


def find(name: str) -> Located:
    """Return the folder and manifest of an index by its name, or by the path of its folder.

    Raises:
        CollectionError: there is none, or its manifest is damaged."""
    folder = Path(name).expanduser() if "/" in name else resources.built_folder() / name
    if not folder.is_dir():
        way_out = f"qttrag index build {name}" if "/" not in name else "check the path"
        raise CollectionError(unknown("index", name, built(), way_out=way_out))
    return Located(folder, manifests.read(folder))


def verify(name: str) -> list[str]:
    """Return what is wrong with an index, checking every byte of every file; empty if nothing is.

    Raises:
        CollectionError: there is no such index, or its manifest is damaged."""
    folder, manifest = find(name)
    found = manifests.problems(folder, manifest, full=True)
    if not found:
        try:
            _load(folder, manifest)
        except CollectionError as error:
            found.append(str(error))
    return found


def open_index(name: str) -> Collection:
    """Return a built index, after checking that its files are those that were written.

    Raises:
        CollectionError: there is no such index, or it is damaged."""
    folder, manifest = find(name)
    if found := manifests.problems(folder, manifest, full=False):
        raise CollectionError(f"index '{manifest.name}': {'; '.join(found)}; {again(folder)}")
    return _load(folder, manifest)


def _load(folder: Path, manifest: Manifest) -> Collection:
    import faiss

    try:
        passages = Passages(folder)
        vectors = Vectors(folder)
        index = faiss.read_index(str(folder / FAISS_FILE), faiss.IO_FLAG_MMAP_IFC)
    except (OSError, ValueError, RuntimeError) as error:
        words = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise CollectionError(f"index '{manifest.name}' in {folder} is damaged ({words}); {again(folder)}") from error
    counts = {len(passages), len(vectors), index.ntotal, manifest.rows}
    if len(counts) != 1 or index.d != manifest.dim:
        raise CollectionError(f"index '{manifest.name}' in {folder}: its files disagree; {again(folder)}")
    return Collection(manifest, passages, vectors, index)


class Collection:
    """An open index. `passages` and `vectors` by row; `search` finds rows."""

    def __init__(self, manifest: Manifest, passages: Passages, vectors: Vectors, index: Any) -> None:
        self.manifest = manifest
        self.passages = passages
        self.vectors = vectors
        self._index = index
        self._selectors: dict[frozenset[Lang], Any] = {}

    def search(
        self, queries: NDArray[np.float32], k: int, langs: Sequence[Lang] | Literal["all"] = "all"
    ) -> list[list[Hit]]:
        """Return up to `k` hits a query, best first, ties by passage id; only passages in `langs`.

        `queries`: unit vectors, float32, shape (n, dim). Scores are cosines computed from the stored vectors,
        whatever the FAISS index stores, and do not depend on what else is searched at the same time.

        Raises:
            CollectionError: FAISS cannot search its index so."""
        wanted = set(self.manifest.langs) if langs == "all" else set(self.manifest.langs) & set(langs)
        if not wanted:
            return [[] for _ in queries]
        parameters = None
        if wanted != set(self.manifest.langs):
            parameters = self._parameters(frozenset(map(Lang, wanted)), k)
        try:
            _, found = self._index.search(queries, min(k + _SPARE, len(self.passages)), params=parameters)
        except RuntimeError as error:
            words = str(error).rsplit("\n", 1)[-1]
            raise CollectionError(
                f"index '{self.manifest.name}': FAISS cannot search its '{self._factory}' ({words}); "
                "build it with another `faiss:`, `Flat` always works"
            ) from error
        return [self._hits(query, rows[rows >= 0], k) for query, rows in zip(queries, found, strict=True)]

    def _hits(self, query: NDArray[np.float32], rows: NDArray[np.int64], k: int) -> list[Hit]:
        # a product row by row: a matrix product may round otherwise for another number of rows
        scores = (self.vectors.take(rows) * query).sum(axis=1)
        hits = [Hit(self.passages[int(row)], float(score)) for row, score in zip(rows, scores, strict=True)]
        return sorted(hits, key=lambda hit: (-hit.score, hit.passage.passage_id))[:k]

    @property
    def _factory(self) -> str:
        return self.manifest.faiss or str(self.manifest.recipe["faiss"])

    def _parameters(self, langs: frozenset[Lang], k: int) -> Any:
        faiss: Any = importlib.import_module("faiss")  # its stubs lack what SWIG makes
        import numpy as np

        if langs not in self._selectors:
            bits = np.packbits(self.passages.rows_of(sorted(langs)), bitorder="little")
            self._selectors[langs] = (bits, faiss.IDSelectorBitmap(bits))  # FAISS keeps a pointer to the bits
        return filtering.parameters(self._index, self._selectors[langs][1], k + _SPARE)
