"""An encoder of another package, which needs no model: texts with the same words have similar vectors."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from qttrag.indexes.recipe import EncoderSettings
from qttrag.protocols import Encoder, PassageEncoder, QueryEncoder
from qttrag.types import EncoderInfo, Prepared, Tokens

DIM = 256
MODEL = "words"
PAUSE = "HASHING_PAUSE"  # the variable with the seconds that a batch takes


def open_hashing(settings: EncoderSettings) -> Encoder:
    """Stands for `open_encoder` in jobs."""
    return HashingKind(settings.model)


def install(folder: Path) -> Path:
    """Write a package into `folder` whose entry points are the kinds of this module; it must come into `sys.path`."""
    package = folder / "hashing-1.0.dist-info"
    package.mkdir(parents=True)
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: hashing\nVersion: 1.0\n")
    kinds = f"hashing = {__name__}:HashingKind\n"
    (package / "entry_points.txt").write_text(f"[qttrag.encoder]\n{kinds}")
    return folder


class HashingKind:
    """A kind of a third party: a vector counts the words of a text by their hash."""

    batch_tokens = 4096
    batch_texts = None

    def __init__(self, model: str, *, max_tokens: int = 256) -> None:
        self._info = EncoderInfo(model, "1", DIM, max_tokens)

    def load(self) -> QueryEncoder:
        return HashingEncoder(self._info)

    def load_for_passages(self) -> list[PassageEncoder]:
        return [HashingEncoder(self._info)]


class HashingEncoder:
    device = "cpu"

    def __init__(self, info: EncoderInfo) -> None:
        self.info = info

    def lengths(self, texts: Sequence[str]) -> list[int]:
        return [len(text.split()) for text in texts]

    def tokenise(self, texts: Sequence[str]) -> list[Tokens]:
        return [Tokens(text, [_number(word) for word in text.split()], cut=False) for text in texts]

    def prepare(self, tokens: Sequence[Tokens]) -> Prepared:
        return Prepared({"ids": [text.ids for text in tokens]})

    def encode_prepared(self, prepared: Prepared) -> NDArray[np.float32]:
        time.sleep(float(os.environ.get(PAUSE, "0")))
        vectors = np.array([np.bincount(ids, minlength=DIM) for ids in prepared.features["ids"]], np.float32)
        unit: NDArray[np.float32] = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        return unit

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return self.encode_prepared(self.prepare(self.tokenise(texts)))


def _number(word: str) -> int:
    return hashlib.sha256(word.encode()).digest()[0]
