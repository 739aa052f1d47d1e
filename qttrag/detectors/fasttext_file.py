"""The head of a fastText model file, which has its labels before its weights.

Source: fastText's `Args::load` and `Dictionary::load`; all numbers are little-endian."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO

from qttrag.errors import ConfigError
from qttrag.models.single_file import FASTTEXT

_VERSION = 12
_ARGS = struct.Struct("<12id")
_SUPERVISED = 3  # the value of `model` in the arguments
_MODEL = 7  # its place among them
_SIZES = struct.Struct("<iiiqq")  # entries, words, labels, tokens, pruned n-grams
_COUNT_AND_TYPE = struct.Struct("<qb")
_LABEL = 1
_LONGEST = 1 << 20  # bytes of an entry


def labels_of(path: Path) -> list[str]:
    """Return the labels of a classifier, in the order of the file.

    Raises:
        ConfigError: the file is another format or version, damaged, or no classifier."""
    with path.open("rb") as stream:
        try:
            return _labels(stream)
        except (ValueError, struct.error) as error:
            raise ConfigError(
                f"detector: {path} is no fastText classifier: {error}; download it again, or choose another `file:`"
            ) from error


def _labels(stream: BinaryIO) -> list[str]:
    if stream.read(4) != FASTTEXT.magic:
        raise ValueError("it does not begin as one")
    (version,) = struct.unpack("<i", stream.read(4))
    if version > _VERSION:
        raise ValueError(f"its format has version {version}; up to {_VERSION} are supported")
    if _ARGS.unpack(stream.read(_ARGS.size))[_MODEL] != _SUPERVISED:
        raise ValueError("it has word vectors and no labels")
    entries, words, n_labels, _, _ = _SIZES.unpack(stream.read(_SIZES.size))
    if not 0 <= words <= entries or entries != words + n_labels:
        raise ValueError(f"it claims {entries} entries, {words} words and {n_labels} labels")
    return [name for name, kind in (_entry(stream) for _ in range(entries)) if kind == _LABEL]


def _entry(stream: BinaryIO) -> tuple[str, int]:
    name = bytearray()
    while (byte := stream.read(1)) != b"\0":
        if not byte or len(name) > _LONGEST:
            raise ValueError("its dictionary ends in the middle of an entry")
        name += byte
    _, kind = _COUNT_AND_TYPE.unpack(stream.read(_COUNT_AND_TYPE.size))
    return name.decode("utf-8", "replace"), kind
