"""Synthetic vectors distributed like embeddings of an encyclopedia, in any number, block by block, reproducible.

A vector is the sum of parts for all vectors, its field, its topic, its page of six passages, and itself; each part is
random, with variances that decrease over the dimensions, so that about 200 of 1024 matter. The shares of the parts
reproduce the scores of BGE-M3 in BERGEN's published run of XOR-TyDi Korean over 27 million passages: the best passage
has a median cosine of 0.68 (0.61 to 0.74 for eight of ten questions), the fiftieth 0.57."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
BLOCK = 12_288  # vectors generated at once
_PAGE = 6
_FIELDS = 200
_PER_TOPIC = 200
_TOPICS = 200_000
_SHARES = {"all": 0.40, "field": 0.16, "topic": 0.24, "page": 0.08, "own": 0.12}  # of the squared length
_NEAR = (0.60, 0.76)  # cosine of a question and the passage that it is derived from


class Clusters:
    """`rows` vectors of `dim` dimensions."""

    def __init__(self, rows: int, dim: int, *, seed: int = 0) -> None:
        random = np.random.default_rng([seed, 0])
        scale = (np.arange(dim) + 10.0) ** -0.5
        self._scale = (scale / np.linalg.norm(scale)).astype(np.float32)
        self.rows, self.dim, self._seed = rows, dim, seed
        self._topics = max(_FIELDS, min(rows // _PER_TOPIC, _TOPICS))
        fields = self._part(random, _FIELDS, "field") + self._part(random, 1, "all")
        self._centres = self._part(random, self._topics, "topic") + fields[np.arange(self._topics) % _FIELDS]

    def _part(self, random: np.random.Generator, n: int, name: str) -> Floats:
        part = random.standard_normal((n, self.dim), np.float32)
        part *= self._scale * np.float32(_SHARES[name] ** 0.5)
        return part

    @property
    def blocks(self) -> int:
        return -(-self.rows // BLOCK)

    def block(self, number: int) -> Floats:
        """Return the unit vectors of a block. Topics are as unequal as page views: the largest is ten medians."""
        random = np.random.default_rng([self._seed, 1 + number])
        n = min(BLOCK, self.rows - number * BLOCK)
        pages = -(-n // _PAGE)
        topics = (self._topics * random.random(pages) ** 1.7).astype(np.int64)
        centres = self._centres[topics]
        centres += self._part(random, pages, "page")
        vectors = np.repeat(centres, _PAGE, axis=0)[:n]
        vectors += self._part(random, n, "own")
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        return vectors

    def __iter__(self) -> Iterator[Floats]:
        return map(self.block, range(self.blocks))

    def sample(self, n: int) -> Iterator[Floats]:
        """Yield up to `n` vectors in blocks: the first ones, since blocks differ only by chance."""
        for number in range(self.blocks):
            if n <= 0:
                return
            yield self.block(number)[:n]
            n -= BLOCK

    def questions(self, n: int, *, seed: int = 1) -> Floats:
        """Return unit vectors near passages, rotated towards directions distributed like those of passages."""
        random = np.random.default_rng([self._seed, seed, 7])
        numbers = np.sort(random.integers(0, self.blocks, n))
        near = np.empty((n, self.dim), np.float32)
        for number in np.unique(numbers):
            block, here = self.block(int(number)), np.flatnonzero(numbers == number)
            near[here] = block[random.integers(0, len(block), len(here))]
        away = random.standard_normal((n, self.dim), np.float32) * self._scale
        away -= (away * near).sum(axis=1, keepdims=True) * near
        away /= np.linalg.norm(away, axis=1, keepdims=True)
        cosines = random.uniform(*_NEAR, (n, 1)).astype(np.float32)
        questions: Floats = cosines * near + np.sqrt(1 - cosines**2) * away
        return questions
