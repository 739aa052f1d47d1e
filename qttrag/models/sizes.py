"""How many weights of a model each token is multiplied with, from the headers of its files."""

from __future__ import annotations

import json
import mmap
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from qttrag.errors import ConfigError, QttragError
from qttrag.models import single_file
from qttrag.models.inventory import NamedModel

_FLOAT32 = 4  # bytes of a weight in which safetensors run on a processor
_EMBEDDINGS = ("embed", "shared.weight", "lm_head", "position")  # parts of names in safetensors
_GGUF_EMBEDDINGS = ("token_embd.weight", "output.weight")
_GGUF_VERSIONS = (2, 3)
_GGUF_NUMBERS = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}  # bytes, by the type of a value
_GGUF_STRING, _GGUF_ARRAY = 8, 9


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
    """Return the size of a model; None: it is not on this machine, or the header of a file is damaged."""
    if named.form == single_file.FASTTEXT:
        return ModelSize(0.0, 0.0)  # it adds vectors up
    try:
        path = named.locate().path
        files = [path] if named.form else path.glob("*.safetensors")
        matrices = [matrix for file in files for matrix in _matrices(file, gguf=named.form == single_file.GGUF)]
    except QttragError:
        return None
    vocabulary = max((matrix.bytes for matrix in matrices if matrix.embedding), default=0)
    layers = [matrix for matrix in matrices if not matrix.embedding]
    return ModelSize(sum(matrix.weights for matrix in layers), vocabulary + sum(matrix.bytes for matrix in layers))


def _matrices(file: Path, *, gguf: bool) -> list[_Matrix]:
    try:
        return list(_of_gguf(file) if gguf else _of_safetensors(file))
    except (struct.error, ValueError, LookupError, TypeError, OverflowError) as error:
        raise ConfigError(f"{file}: its header cannot be read; download the model again") from error


def _of_safetensors(file: Path) -> Iterator[_Matrix]:
    with file.open("rb") as stream:
        (length,) = struct.unpack("<Q", stream.read(8))
        header = json.loads(stream.read(min(length, file.stat().st_size)))
    for name, tensor in header.items():
        if name != "__metadata__" and len(shape := tensor["shape"]) == 2:
            weights = shape[0] * shape[1]
            yield _Matrix(weights, weights * _FLOAT32, any(part in name for part in _EMBEDDINGS))


def _of_gguf(file: Path) -> Iterator[_Matrix]:
    """Yield the matrices of a GGUF file. https://github.com/ggml-org/ggml/blob/master/docs/gguf.md"""
    with file.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
        header = _GgufHeader(data)
        tensors = sorted(header.tensors(), key=lambda tensor: tensor.offset)
        ends = [*(tensor.offset for tensor in tensors[1:]), len(data) - header.position]
    for tensor, end in zip(tensors, ends, strict=True):
        if len(tensor.shape) == 2:
            weights = tensor.shape[0] * tensor.shape[1]
            yield _Matrix(weights, end - tensor.offset, tensor.name in _GGUF_EMBEDDINGS)


class _GgufTensor(NamedTuple):
    """`offset`: of its data, in bytes from the end of the header."""

    name: str
    shape: tuple[int, ...]
    offset: int


class _GgufHeader:
    """Reads a header from its beginning; `position`: in bytes."""

    def __init__(self, data: mmap.mmap) -> None:
        self._data = data
        self.position = len(single_file.GGUF.magic)

    def tensors(self) -> list[_GgufTensor]:
        if (version := self._number("I")) not in _GGUF_VERSIONS:
            raise ValueError(f"GGUF version {version}")
        tensors, values = self._number("Q"), self._number("Q")
        for _ in range(values):
            self._string()
            self._skip(self._number("I"))
        return [self._tensor() for _ in range(tensors)]

    def _tensor(self) -> _GgufTensor:
        name = self._string()
        shape = tuple(self._number("Q") for _ in range(self._number("I")))
        self._number("I")  # its type
        return _GgufTensor(name, shape, self._number("Q"))

    def _number(self, form: str) -> int:
        (number,) = struct.unpack_from(f"<{form}", self._data, self.position)
        self.position += struct.calcsize(f"<{form}")
        return int(number)

    def _string(self) -> str:
        length = self._number("Q")
        start, self.position = self.position, self.position + length
        return self._data[start : self.position].decode("utf-8", "replace")

    def _skip(self, kind: int) -> None:
        if kind == _GGUF_STRING:
            length = self._number("Q")
            self.position += length
        elif kind != _GGUF_ARRAY:
            self.position += _GGUF_NUMBERS[kind]
        elif (item := self._number("I")) == _GGUF_STRING:
            for _ in range(self._number("Q")):
                self._skip(item)
        else:
            length = self._number("Q")
            self.position += length * _GGUF_NUMBERS[item]
