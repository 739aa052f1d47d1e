"""Train the coarse quantizer of a large inverted file by k-means in two levels.

K-means with 65,536 centres compares every vector of its sample with all of them. In two levels of about 256 centres
the same takes minutes instead of days."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Transform = Callable[[NDArray[np.float32]], NDArray[np.float32]]
    Sample = Callable[[int], Iterator[NDArray[np.float32]]]

MANY_LISTS = 4096  # from here on, k-means runs in two levels
_VECTORS_PER_LIST = 16  # in the sample, which is held in float16: 2 GB for 65,536 lists of 1024 dimensions
_MIN_SAMPLE = 200_000  # vectors
_ITERATIONS = 10  # of k-means, as FAISS has for inverted files
_FIRST_LEVEL_VECTORS = 256  # per centre of the first level, as FAISS has
_BLOCK_ROWS = 16_384
_TRAINING_ROWS = 65_536  # of everything but the centres: rotations, codes


def has_many_lists(index: Any) -> bool:
    """Return whether an index is an inverted file of many lists, possibly after a transform of its vectors."""
    faiss, inner = _faiss(), _downcast(index)
    if isinstance(inner, faiss.IndexPreTransform):
        inner = _downcast(inner.index)
    return isinstance(inner, faiss.IndexIVF) and inner.nlist >= MANY_LISTS


def sample_size(lists: int) -> int:
    """Return how many vectors an inverted file of `lists` lists is trained on, if there are as many."""
    return max(_MIN_SAMPLE, _VECTORS_PER_LIST * lists)


def train(index: Any, sample: Sample) -> None:
    """Train an index for which `has_many_lists` is true.

    `sample(n)` yields up to `n` vectors in blocks, the same at each call, and not fewer than there are lists."""
    has_transform = isinstance(_downcast(index), _faiss().IndexPreTransform)
    transform = _trained_transform(index, sample) if has_transform else _identity
    inverted_file = _downcast(_downcast(index).index if has_transform else index)
    inverted_file.quantizer.add(_centres(sample, transform, inverted_file.nlist, inverted_file.d))
    inverted_file.train(_concatenate(map(transform, sample(_TRAINING_ROWS))))
    index.is_trained = True


def _trained_transform(index: Any, sample: Sample) -> Transform:
    """Train the transforms that an index applies to vectors first, and return their composition."""
    chain = _downcast(index).chain
    steps = [_faiss().downcast_VectorTransform(chain.at(n)) for n in range(chain.size())]

    def transform(vectors: NDArray[np.float32], until: int = len(steps)) -> NDArray[np.float32]:
        for step in steps[:until]:
            vectors = step.apply(vectors)
        return vectors

    for n, step in enumerate(steps):
        if not step.is_trained:
            step.train(_concatenate(transform(block, n) for block in sample(_TRAINING_ROWS)))
    return transform


def _centres(sample: Sample, transform: Transform, n: int, dim: int) -> NDArray[np.float32]:
    """Return `n` centres, unit vectors, float32, shape (n, dim)."""
    import numpy as np

    vectors = np.concatenate([transform(block).astype(np.float16) for block in sample(sample_size(n))])
    groups = int(n**0.5)
    random = np.random.default_rng(0)
    rows = np.sort(random.permutation(len(vectors))[: groups * _FIRST_LEVEL_VECTORS])
    first_level = _kmeans(vectors[rows].astype(np.float32), groups, dim)
    group_of = np.concatenate(
        [_nearest(first_level, vectors[start : start + _BLOCK_ROWS]) for start in range(0, len(vectors), _BLOCK_ROWS)]
    )
    sizes = np.bincount(group_of, minlength=groups)
    rows_of_groups = np.split(np.argsort(group_of, kind="stable"), np.cumsum(sizes)[:-1])
    return np.concatenate(
        [
            _kmeans(vectors[np.sort(rows)].astype(np.float32), k, dim)
            for rows, k in zip(rows_of_groups, allocate(n, sizes), strict=True)
            if k
        ]
    )


def allocate(n: int, sizes: NDArray[np.int64]) -> list[int]:
    """Return how many of `n` centres each group gets: in proportion to its size, and at most one per vector."""
    import numpy as np

    ends = np.cumsum(sizes) * n // sizes.sum()
    return [int(centres) for centres in np.diff(ends, prepend=0)]


def _kmeans(vectors: NDArray[np.float32], k: int, dim: int) -> NDArray[np.float32]:
    kmeans = _faiss().Kmeans(
        dim,
        k,
        niter=_ITERATIONS,
        spherical=True,
        seed=0,
        min_points_per_centroid=1,
        max_points_per_centroid=len(vectors),
    )
    kmeans.train(vectors)
    centres: NDArray[np.float32] = kmeans.centroids.reshape(k, dim)
    return centres


def _nearest(centres: NDArray[np.float32], vectors: NDArray[np.float16]) -> NDArray[np.int64]:
    """Return the number of the nearest centre for each vector."""
    import numpy as np

    numbers: NDArray[np.int64] = np.argmax(vectors.astype(np.float32) @ centres.T, axis=1)
    return numbers


def _identity(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    return vectors


def _concatenate(blocks: Iterable[NDArray[np.float32]]) -> NDArray[np.float32]:
    import numpy as np

    return np.concatenate(list(blocks))


def _downcast(index: Any) -> Any:
    return _faiss().downcast_index(index)


def _faiss() -> Any:
    return importlib.import_module("faiss")  # its stubs lack the classes that SWIG generates
