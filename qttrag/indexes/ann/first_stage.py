"""The first stage of a search: a FAISS index of any composition gives candidates for each query."""

from __future__ import annotations

import importlib
import os
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Part = tuple[NDArray[np.float32], Any, Any]  # a query as the lists hold vectors, its scores of lists, their numbers

_QUERY_BITS = 8  # per dimension of a query that RaBitQ compares; 4 cost recall, floats a hundred times the time
_NODES_PER_LIST = 2  # nodes of a graph over lists that are visited for each list it returns
_LISTS_PER_TASK = 128  # more lists of one query are shared among the threads


class Effort(NamedTuple):
    """How much of an index is searched: lists of an inverted file, nodes of a graph. None: as set in the index."""

    nprobe: int | None = None
    ef_search: int | None = None


AS_BUILT = Effort()


class Candidates(NamedTuple):
    """Rows for one query, best first, and their scores in the index that gave them."""

    rows: NDArray[np.int64]
    scores: NDArray[np.float32]


class FirstStage:
    """Searches a FAISS index on up to `threads` threads; None: as many as there are cores.

    The results of a query do not depend on other queries: each is searched alone, because FAISS rounds the product of
    several differently, and its lists are split into tasks of `lists_per_task` whatever the number of threads. Only an
    exact index searches several queries together."""

    def __init__(self, index: Any, *, threads: int | None = None, lists_per_task: int = _LISTS_PER_TASK) -> None:
        self.index = index
        self.threads = threads or os.cpu_count() or 1
        self._inverted = inverted(index)
        self._lists_per_task = lists_per_task
        self._pool = ThreadPoolExecutor(self.threads, "qttrag-search", initializer=_use_one_thread)

    @property
    def exact(self) -> bool:
        """Return whether candidates are those of a scan of all vectors, in float32."""
        return isinstance(_downcast(self.index), _faiss().IndexFlat)

    @property
    def lists(self) -> int | None:
        """Return the number of lists of an inverted file; None for other indexes."""
        return None if self._inverted is None else int(self._inverted.nlist)

    def probed(self, effort: Effort) -> int:
        """Return the number of lists that are searched, 0 for other indexes."""
        return 0 if self._inverted is None else min(effort.nprobe or self._inverted.nprobe, self._inverted.nlist)

    @property
    def is_graph(self) -> bool:
        return _is_graph(self.index)

    def find(
        self, queries: NDArray[np.float32], n: int, effort: Effort = AS_BUILT, selector: Any = None
    ) -> list[Candidates]:
        """Return up to `n` candidates for each query; with a FAISS `selector`, only its rows.

        `queries`: unit vectors, float32, shape (m, dim).

        Raises:
            RuntimeError: an index of this composition cannot exclude rows (plain PQ, NSG)."""
        import numpy as np

        if has_plain_lists(self.index):
            return self._search_lists(queries, n, effort, selector)
        given = parameters(self.index, effort, selector, n)
        batches = np.array_split(queries, min(len(queries), self.threads if self.exact else len(queries)) or 1)
        results = self._pool.map(lambda batch: self.index.search(batch, n, params=given), batches)
        pairs = [pair for scores, rows in results for pair in zip(rows, scores, strict=True)]
        return [Candidates(rows[rows >= 0], scores[rows >= 0]) for rows, scores in pairs]

    def _search_lists(self, queries: NDArray[np.float32], n: int, effort: Effort, selector: Any) -> list[Candidates]:
        """Search each query in the nearest lists, `lists_per_task` of them in a task."""
        nprobe = self.probed(effort)
        starts, size = range(0, nprobe, self._lists_per_task), self._lists_per_task
        parts = [
            (query, scores[:, start : start + size], lists[:, start : start + size])
            for query, scores, lists in self._pool.map(lambda query: self._nearest_lists(query, nprobe), queries)
            for start in starts
        ]
        results = list(self._pool.map(lambda part: self._search_part(part, n, selector), parts))
        return [_best(results[first : first + len(starts)], n) for first in range(0, len(results), len(starts))]

    def _nearest_lists(self, query: NDArray[np.float32], nprobe: int) -> Part:
        inverted_file: Any = self._inverted
        transformed = _transform(self.index, query[None])
        given = _graph_parameters(inverted_file, nprobe)
        return transformed, *inverted_file.quantizer.search(transformed, nprobe, params=given)

    def _search_part(self, part: Part, n: int, selector: Any) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Return scores and rows of one query in some lists; unused places have row -1."""
        import numpy as np

        inverted_file: Any = self._inverted
        query, list_scores, lists = map(np.ascontiguousarray, part)
        scores, rows = np.empty(n, np.float32), np.empty(n, np.int64)
        given = _list_parameters(inverted_file, Effort(lists.shape[1]), selector)
        pointers = map(_faiss().swig_ptr, (lists, list_scores, scores, rows))
        inverted_file.search_preassigned_c(1, _faiss().swig_ptr(query), n, *pointers, False, given)
        return scores, rows


def _best(results: list[tuple[NDArray[np.float32], NDArray[np.int64]]], n: int) -> Candidates:
    """Return the best `n` of several results, equal ones by row."""
    import numpy as np

    scores, rows = (np.concatenate(arrays) for arrays in zip(*results, strict=True))
    order = np.lexsort((rows, -scores))
    order = order[rows[order] >= 0][:n]
    return Candidates(rows[order], scores[order])


def parameters(index: Any, effort: Effort, selector: Any, candidates: int) -> Any:
    """Return FAISS's parameters of a search for about `candidates` rows, only those of `selector`."""
    faiss, index = _faiss(), _downcast(index)
    if isinstance(index, faiss.IndexPreTransform):
        inner = parameters(index.index, effort, selector, candidates)
        return faiss.SearchParametersPreTransform(index_params=inner)
    if isinstance(index, faiss.IndexRefine):
        inner = parameters(index.base_index, effort, selector, candidates)
        return faiss.IndexRefineSearchParameters(base_index_params=inner, k_factor=index.k_factor)
    if isinstance(index, faiss.IndexIVF):
        return _list_parameters(index, effort, selector)
    if isinstance(index, faiss.IndexHNSW):
        nodes = max(effort.ef_search or index.hnsw.efSearch, candidates)
        return faiss.SearchParametersHNSW(efSearch=nodes, **_selecting(selector))
    if isinstance(index, faiss.IndexRaBitQ):
        return faiss.RaBitQSearchParameters(qb=_QUERY_BITS, centered=False, **_selecting(selector))
    return faiss.SearchParameters(sel=selector) if selector is not None else None


def inverted(index: Any) -> Any | None:
    """Return the inverted file in an index, or None."""
    inverted_file = _faiss().try_extract_index_ivf(index)
    return None if inverted_file is None else _downcast(inverted_file)


def has_plain_lists(index: Any) -> bool:
    """Return whether an index is an inverted file with one code per vector, possibly after a transform of its vectors.

    Other inverted files pack vectors in blocks (FAISS's fast scan, Panorama) or store equal vectors once."""
    faiss, inner = _faiss(), _innermost(index)
    if not isinstance(inner, faiss.IndexIVF) or isinstance(inner, faiss.IndexIVFFlatDedup):
        return False
    return type(faiss.downcast_InvertedLists(inner.invlists)) is faiss.ArrayInvertedLists


def set_graph_effort(quantizer: Any, *, construction: int, search: int) -> None:
    """Set how many nodes a graph over lists visits to link a list to its neighbours, and to find a vector's list.

    A quantizer that is no graph is unchanged."""
    if _is_graph(quantizer):
        graph = _innermost(quantizer).hnsw
        graph.efConstruction, graph.efSearch = construction, search


def _list_parameters(index: Any, effort: Effort, selector: Any) -> Any:
    faiss = _faiss()
    nprobe = min(effort.nprobe or index.nprobe, index.nlist)
    given = {"nprobe": nprobe, **_selecting(selector)}
    if graph := _graph_parameters(index, nprobe):
        given["quantizer_params"] = graph
    if isinstance(index, faiss.IndexIVFRaBitQ):
        return faiss.IVFRaBitQSearchParameters(qb=_QUERY_BITS, centered=False, **given)
    return faiss.SearchParametersIVF(**given)


def _graph_parameters(inverted_file: Any, nprobe: int) -> Any:
    """Return the parameters with which the graph over lists is searched; None where there is no graph."""
    if not _is_graph(inverted_file.quantizer):
        return None
    nodes = max(_innermost(inverted_file.quantizer).hnsw.efSearch, _NODES_PER_LIST * nprobe)
    return _faiss().SearchParametersHNSW(efSearch=nodes)


def _transform(index: Any, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return vectors after the transforms of an index, as its innermost index gets them."""
    index = _downcast(index)
    while isinstance(index, _faiss().IndexPreTransform):
        for n in range(index.chain.size()):
            vectors = _faiss().downcast_VectorTransform(index.chain.at(n)).apply(vectors)
        index = _downcast(index.index)
    return vectors


def _selecting(selector: Any) -> dict[str, Any]:
    return {} if selector is None else {"sel": selector}


def _is_graph(index: Any) -> bool:
    return isinstance(_innermost(index), _faiss().IndexHNSW)


def _innermost(index: Any) -> Any:
    index = _downcast(index)
    while isinstance(index, _faiss().IndexPreTransform):
        index = _downcast(index.index)
    return index


def _downcast(index: Any) -> Any:
    return _faiss().downcast_index(index)


def _faiss() -> Any:
    return importlib.import_module("faiss")  # its stubs lack the classes that SWIG generates


def _use_one_thread() -> None:
    _faiss().omp_set_num_threads(1)
