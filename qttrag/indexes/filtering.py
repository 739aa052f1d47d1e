"""Searching only some rows of a FAISS index, whatever it is composed of."""

from __future__ import annotations

import importlib
from typing import Any


def parameters(index: Any, selector: Any, candidates: int) -> Any:
    """Return the parameters with which `index` finds only rows of `selector`, about `candidates` of them.

    Searching with them raises RuntimeError where an index of the composition cannot leave out rows (plain PQ, NSG)."""
    faiss: Any = importlib.import_module("faiss")  # its stubs lack what SWIG makes
    index = faiss.downcast_index(index)
    if isinstance(index, faiss.IndexPreTransform):
        return faiss.SearchParametersPreTransform(index_params=parameters(index.index, selector, candidates))
    if isinstance(index, faiss.IndexRefine):
        inner = parameters(index.base_index, selector, candidates)
        return faiss.IndexRefineSearchParameters(base_index_params=inner, k_factor=index.k_factor)
    if isinstance(index, faiss.IndexIVF):
        return faiss.SearchParametersIVF(sel=selector, nprobe=index.nprobe)
    if isinstance(index, faiss.IndexHNSW):
        return faiss.SearchParametersHNSW(sel=selector, efSearch=max(index.hnsw.efSearch, candidates))
    return faiss.SearchParameters(sel=selector)
