"""The lists of a large inverted file: centres by k-means in two levels, which takes minutes where one takes days.

K-means of 65,536 centres compares every vector of its sample with all of them; in two levels with some 256 in each."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MANY = 4096  # lists, from which on centres are sought in two levels
_PER_LIST = 16  # vectors of the sample for each, held in float16: 2 GB for 65,536 lists of 1024 dimensions
_LEAST = 200_000  # vectors of the sample
_ROUNDS = 10  # of k-means, FAISS's own number for inverted files
_PER_CENTRE = 256  # vectors of the first level, FAISS's own number
_BLOCK = 16_384
_TRAINED_ON = 65_536  # vectors, what is trained after the centres: rotations, codes


def many(index: Any) -> bool:
    """Say whether an index is an inverted file of many lists, perhaps behind a change of its vectors."""
    faiss, inner = _faiss(), _downcast(index)
    if isinstance(inner, faiss.IndexPreTransform):
        inner = _downcast(inner.index)
    return isinstance(inner, faiss.IndexIVF) and inner.nlist >= MANY


def sampled(lists: int) -> int:
    """Return how many vectors so many lists are trained on, if there are as many."""
    return max(_LEAST, _PER_LIST * lists)


def train(index: Any, sample: Callable[[int], Iterator[NDArray[np.float32]]]) -> None:
    """Train an index of which `many` is true.

    `sample(n)` yields up to `n` vectors in blocks, the same however often it is called; there are as many as lists."""
    behind = isinstance(_downcast(index), _faiss().IndexPreTransform)
    change = _changes(index, sample) if behind else _same
    lists = _downcast(_downcast(index).index if behind else index)
    lists.quantizer.add(_centres(sample, change, lists.nlist, lists.d))
    lists.train(_together(map(change, sample(_TRAINED_ON))))
    index.is_trained = True


def _changes(
    index: Any, sample: Callable[[int], Iterator[NDArray[np.float32]]]
) -> Callable[[NDArray[np.float32]], NDArray[np.float32]]:
    """Train what an index does to vectors before all else, and return it."""
    chain = _downcast(index).chain
    steps = [_faiss().downcast_VectorTransform(chain.at(n)) for n in range(chain.size())]

    def change(vectors: NDArray[np.float32], until: int = len(steps)) -> NDArray[np.float32]:
        for step in steps[:until]:
            vectors = step.apply(vectors)
        return vectors

    for n, step in enumerate(steps):
        if not step.is_trained:
            step.train(_together(change(block, n) for block in sample(_TRAINED_ON)))
    return change


def _centres(
    sample: Callable[[int], Iterator[NDArray[np.float32]]],
    change: Callable[[NDArray[np.float32]], NDArray[np.float32]],
    n: int,
    dim: int,
) -> NDArray[np.float32]:
    """Return `n` centres, unit vectors."""
    import numpy as np

    vectors = np.concatenate([change(block).astype(np.float16) for block in sample(sampled(n))])
    groups = int(n**0.5)
    random = np.random.default_rng(0)
    some = np.sort(random.permutation(len(vectors))[: groups * _PER_CENTRE])
    first = _kmeans(vectors[some].astype(np.float32), groups, dim)
    group_of = np.concatenate(
        [_nearest(first, vectors[start : start + _BLOCK]) for start in range(0, len(vectors), _BLOCK)]
    )
    sizes = np.bincount(group_of, minlength=groups)
    parts = zip(np.split(np.argsort(group_of, kind="stable"), np.cumsum(sizes)[:-1]), _allot(n, sizes), strict=True)
    return np.concatenate([_kmeans(vectors[np.sort(rows)].astype(np.float32), k, dim) for rows, k in parts if k])


def _allot(n: int, sizes: NDArray[np.int64]) -> list[int]:
    """Return how many of `n` centres each group has, by its size, and no more than it has vectors."""
    import numpy as np

    ends = np.cumsum(sizes) * n // sizes.sum()
    return [int(each) for each in np.diff(ends, prepend=0)]


def _kmeans(vectors: NDArray[np.float32], k: int, dim: int) -> NDArray[np.float32]:
    made = _faiss().Kmeans(
        dim, k, niter=_ROUNDS, spherical=True, seed=0, min_points_per_centroid=1, max_points_per_centroid=len(vectors)
    )
    made.train(vectors)
    centres: NDArray[np.float32] = made.centroids.reshape(k, dim)
    return centres


def _nearest(centres: NDArray[np.float32], vectors: NDArray[np.float16]) -> NDArray[np.int64]:
    import numpy as np

    found: NDArray[np.int64] = np.argmax(vectors.astype(np.float32) @ centres.T, axis=1)
    return found


def _same(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    return vectors


def _together(blocks: Any) -> NDArray[np.float32]:
    import numpy as np

    return np.concatenate(list(blocks))


def _downcast(index: Any) -> Any:
    return _faiss().downcast_index(index)


def _faiss() -> Any:
    return importlib.import_module("faiss")  # its stubs lack what SWIG makes
