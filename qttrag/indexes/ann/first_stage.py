"""The first stage of a search: a FAISS index, whatever it is composed of, names candidates for each query."""

from __future__ import annotations

import importlib
import os
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_QUERY_BITS = 8  # of a query's dimension where RaBitQ compares bits; 4 costs recall, floats a hundred times the time
_PER_LIST_FOUND = 2  # lists that a graph over lists looks at for each that it gives
_LISTS_TOGETHER = 128  # searched in one go: more of one query are shared among the threads


class Effort(NamedTuple):
    """How much of an index is looked at: lists of an inverted file, nodes of a graph. None: as it was built."""

    nprobe: int | None = None
    ef_search: int | None = None


AS_BUILT = Effort()


class Candidates(NamedTuple):
    """Rows of one query, the likeliest first, and the scores by which they were found."""

    rows: NDArray[np.int64]
    scores: NDArray[np.float32]


class FirstStage:
    """Searches a FAISS index on up to `threads` threads; None: as many as there are cores.

    A query finds the same whatever else is searched at the same time: each is searched alone, for FAISS multiplies the
    matrices of several in another order, and its lists are shared among threads in the same way. Only an exact index
    takes several together."""

    def __init__(self, index: Any, *, threads: int | None = None) -> None:
        self.index = index
        self.threads = threads or os.cpu_count() or 1
        self._pool = ThreadPoolExecutor(self.threads, "qttrag-search", initializer=_alone)

    @property
    def exact(self) -> bool:
        """Say whether candidates are those of a scan of all vectors, in float32."""
        faiss = _faiss()
        return isinstance(_downcast(self.index), faiss.IndexFlat)

    @property
    def lists(self) -> int | None:
        """Return how many lists there are in an inverted file, None where there is none."""
        found = inverted(self.index)
        return None if found is None else int(found.nlist)

    def probed(self, effort: Effort) -> int:
        """Return how many lists are looked at, 0 where there are none."""
        found = inverted(self.index)
        return 0 if found is None else min(effort.nprobe or found.nprobe, found.nlist)

    @property
    def is_graph(self) -> bool:
        return _is_graph(self.index)

    def find(
        self, queries: NDArray[np.float32], n: int, effort: Effort = AS_BUILT, selector: Any = None
    ) -> list[Candidates]:
        """Return up to `n` candidates a query; only rows of `selector`, if there is one.

        `queries`: unit vectors, float32, shape (m, dim).

        Raises:
            RuntimeError: an index of the composition cannot leave out rows (plain PQ, NSG)."""
        import numpy as np

        if has_plain_lists(self.index):
            return self._in_lists(queries, n, effort, selector)
        given = parameters(self.index, effort, selector, n)
        parts = np.array_split(queries, min(len(queries), self.threads if self.exact else len(queries)) or 1)
        found = self._pool.map(lambda part: self.index.search(part, n, params=given), parts)
        pairs = [pair for scores, rows in found for pair in zip(rows, scores, strict=True)]
        return [Candidates(rows[rows >= 0], scores[rows >= 0]) for rows, scores in pairs]

    def _in_lists(self, queries: NDArray[np.float32], n: int, effort: Effort, selector: Any) -> list[Candidates]:
        import numpy as np

        found: Any = inverted(self.index)
        nprobe = self.probed(effort)
        given = _of_graph(found, nprobe)

        def nearest(query: NDArray[np.float32]) -> tuple[NDArray[np.float32], Any, Any]:
            changed = _changed(self.index, query[None])
            return changed, *found.quantizer.search(changed, nprobe, params=given)

        def search(part: tuple[NDArray[np.float32], Any, Any]) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
            query, near, lists = map(np.ascontiguousarray, part)
            scores, rows = np.empty(n, np.float32), np.empty(n, np.int64)
            params = _of_lists(found, Effort(lists.shape[1]), selector)
            pointers = map(_faiss().swig_ptr, (lists, near, scores, rows))
            found.search_preassigned_c(1, _faiss().swig_ptr(query), n, *pointers, False, params)
            return scores, rows

        starts = range(0, nprobe, _LISTS_TOGETHER)
        parts = [
            (query, scores[:, start : start + _LISTS_TOGETHER], lists[:, start : start + _LISTS_TOGETHER])
            for query, scores, lists in self._pool.map(nearest, queries)
            for start in starts
        ]
        pairs = list(self._pool.map(search, parts))
        return [_best(pairs[first : first + len(starts)], n) for first in range(0, len(pairs), len(starts))]


def _best(pairs: list[tuple[NDArray[np.float32], NDArray[np.int64]]], n: int) -> Candidates:
    """Return the best `n` of what was found in parts, equally good ones by their rows."""
    import numpy as np

    scores, rows = (np.concatenate(each) for each in zip(*pairs, strict=True))
    order = np.lexsort((rows, -scores))
    order = order[rows[order] >= 0][:n]
    return Candidates(rows[order], scores[order])


def parameters(index: Any, effort: Effort, selector: Any, candidates: int) -> Any:
    """Return the parameters with which `index` is searched for about `candidates` rows, those of `selector` only."""
    faiss, index = _faiss(), _downcast(index)
    if isinstance(index, faiss.IndexPreTransform):
        inner = parameters(index.index, effort, selector, candidates)
        return faiss.SearchParametersPreTransform(index_params=inner)
    if isinstance(index, faiss.IndexRefine):
        inner = parameters(index.base_index, effort, selector, candidates)
        return faiss.IndexRefineSearchParameters(base_index_params=inner, k_factor=index.k_factor)
    if isinstance(index, faiss.IndexIVF):
        return _of_lists(index, effort, selector)
    if isinstance(index, faiss.IndexHNSW):
        wanted = max(effort.ef_search or index.hnsw.efSearch, candidates)
        return faiss.SearchParametersHNSW(efSearch=wanted, **_selecting(selector))
    if isinstance(index, faiss.IndexRaBitQ):
        return faiss.RaBitQSearchParameters(qb=_QUERY_BITS, centered=False, **_selecting(selector))
    return faiss.SearchParameters(sel=selector) if selector is not None else None


def inverted(index: Any) -> Any | None:
    """Return the inverted file in an index, or None."""
    found = _faiss().try_extract_index_ivf(index)
    return None if found is None else _downcast(found)


def has_plain_lists(index: Any) -> bool:
    """Say whether an index is an inverted file, perhaps behind a change of its vectors, with a code for each vector.

    Others hold vectors in blocks (for FAISS's fast scan, Panorama) or equal ones once."""
    faiss, inner = _faiss(), _inmost(index)
    if not isinstance(inner, faiss.IndexIVF) or isinstance(inner, faiss.IndexIVFFlatDedup):
        return False
    return type(faiss.downcast_InvertedLists(inner.invlists)) is faiss.ArrayInvertedLists


def widen(quantizer: Any, linked: int, found: int) -> None:
    """Have a graph over lists look at so many nodes to link a list to the nearest, and to find a vector's list.

    Without a graph do nothing."""
    if _is_graph(quantizer):
        graph = _inmost(quantizer).hnsw
        graph.efConstruction, graph.efSearch = linked, found


def _of_lists(index: Any, effort: Effort, selector: Any) -> Any:
    faiss = _faiss()
    nprobe = min(effort.nprobe or index.nprobe, index.nlist)
    given = {"nprobe": nprobe, **_selecting(selector)}
    if graph := _of_graph(index, nprobe):
        given["quantizer_params"] = graph
    if isinstance(index, faiss.IndexIVFRaBitQ):
        return faiss.IVFRaBitQSearchParameters(qb=_QUERY_BITS, centered=False, **given)
    return faiss.SearchParametersIVF(**given)


def _of_graph(lists: Any, nprobe: int) -> Any:
    """Return the parameters with which the graph over lists is searched, None where there is no graph."""
    if not _is_graph(lists.quantizer):
        return None
    wanted = max(_inmost(lists.quantizer).hnsw.efSearch, _PER_LIST_FOUND * nprobe)
    return _faiss().SearchParametersHNSW(efSearch=wanted)


def _changed(index: Any, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return vectors as the inmost index is given them."""
    index = _downcast(index)
    while isinstance(index, _faiss().IndexPreTransform):
        for n in range(index.chain.size()):
            vectors = _faiss().downcast_VectorTransform(index.chain.at(n)).apply(vectors)
        index = _downcast(index.index)
    return vectors


def _selecting(selector: Any) -> dict[str, Any]:
    return {} if selector is None else {"sel": selector}


def _is_graph(index: Any) -> bool:
    return isinstance(_inmost(index), _faiss().IndexHNSW)


def _inmost(index: Any) -> Any:
    index = _downcast(index)
    while isinstance(index, _faiss().IndexPreTransform):
        index = _downcast(index.index)
    return index


def _downcast(index: Any) -> Any:
    return _faiss().downcast_index(index)


def _faiss() -> Any:
    return importlib.import_module("faiss")  # its stubs lack what SWIG makes


def _alone() -> None:
    _faiss().omp_set_num_threads(1)
