"""A classifier in fastText's own format: each known word votes for one label."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from pathlib import Path

import numpy as np

_SOFTMAX, _SUPERVISED = 3, 3


def write(path: Path, label_of_word: Mapping[str, str], *, model: int = _SUPERVISED) -> Path:
    """Write a model whose score of a label rises with the number of its words; unknown words say nothing."""
    words, labels = list(label_of_word), sorted(set(label_of_word.values()))
    vectors = np.zeros((len(words), len(labels)), np.float32)
    for row, word in enumerate(words):
        vectors[row, labels.index(label_of_word[word])] = 10.0
    dim, ws, epoch, min_count, negative, n_grams, bucket, rate = len(labels), 5, 5, 1, 5, 1, 0, 100
    path.write_bytes(
        struct.pack("<ii", 793712314, 12)
        + struct.pack("<12id", dim, ws, epoch, min_count, negative, n_grams, _SOFTMAX, model, bucket, 0, 0, rate, 1e-4)
        + struct.pack("<iiiqq", len(words) + len(labels), len(words), len(labels), len(words), -1)
        + b"".join(_entry(name, kind) for names, kind in ((words, 0), (labels, 1)) for name in names)
        + _matrix(vectors)
        + _matrix(np.eye(len(labels), dtype=np.float32))
    )
    return path


def _entry(name: str, kind: int) -> bytes:
    return name.encode() + b"\0" + struct.pack("<qb", 1, kind)


def _matrix(values: np.ndarray[tuple[int, int], np.dtype[np.float32]]) -> bytes:
    return b"\0" + struct.pack("<qq", *values.shape) + values.astype("<f4").tobytes()
