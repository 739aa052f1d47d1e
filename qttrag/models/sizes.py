"""How many weights of a model each token is multiplied with, from the headers of its files."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from qttrag.errors import QttragError
from qttrag.models import single_file
from qttrag.models.inventory import NamedModel

_FLOAT32 = 4  # bytes of a weight in which safetensors run on a processor
_EMBEDDINGS = ("embed", "shared.weight", "lm_head", "position")  # parts of names in safetensors
_DAMAGED = (struct.error, ValueError, LookupError, TypeError, OverflowError)  # what reading a damaged header raises
_GGUF_EMBEDDINGS = ("token_embd.weight", "output.weight")


class ModelSize(NamedTuple):
    """`weights`: each token that is read is multiplied with so many. `bytes`: each token that is written takes so many
    from memory, those of the vocabulary among them."""

    weights: float
    bytes: float


class _Matrix(NamedTuple):
    """`embedding`: tokens or positions are looked up in it; the largest of these also gives the next token's
    probabilities."""

    weights: int
    bytes: int
    embedding: bool


def size_of(named: NamedModel) -> ModelSize | None:
    """Return the size of a model; None: it is not on this machine, the header of a file is damaged, or the package gguf
    is not installed (qttrag[llama-cpp])."""
    if named.form == single_file.FASTTEXT:
        return ModelSize(0.0, 0.0)  # it adds vectors up
    try:
        path = named.locate().path
        if named.form == single_file.GGUF:
            matrices = list(_of_gguf(path))
        else:
            matrices = [matrix for file in path.glob("*.safetensors") for matrix in _of_safetensors(file)]
    except (QttragError, *_DAMAGED, ModuleNotFoundError):
        return None
    vocabulary = max((matrix.bytes for matrix in matrices if matrix.embedding), default=0)
    layers = [matrix for matrix in matrices if not matrix.embedding]
    return ModelSize(sum(matrix.weights for matrix in layers), vocabulary + sum(matrix.bytes for matrix in layers))


def _of_safetensors(file: Path) -> Iterator[_Matrix]:
    with file.open("rb") as stream:
        (length,) = struct.unpack("<Q", stream.read(8))
        header = json.loads(stream.read(min(length, file.stat().st_size)))
    for name, tensor in header.items():
        if name != "__metadata__" and len(shape := tensor["shape"]) == 2:
            weights = shape[0] * shape[1]
            yield _Matrix(weights, weights * _FLOAT32, any(part in name for part in _EMBEDDINGS))


def _of_gguf(file: Path) -> Iterator[_Matrix]:
    from gguf import GGUFReader

    for tensor in GGUFReader(file).tensors:
        if len(tensor.shape) == 2:
            yield _Matrix(int(tensor.n_elements), int(tensor.n_bytes), tensor.name in _GGUF_EMBEDDINGS)
