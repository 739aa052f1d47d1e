"""The sizes of models, from the headers of their files."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from pathlib import Path

import pytest

from qttrag.models.inventory import NamedModel
from qttrag.models.single_file import FASTTEXT, GGUF
from qttrag.models.sizes import ModelSize, size_of


def text(value: str) -> bytes:
    return struct.pack("<Q", len(value.encode())) + value.encode()


def gguf(path: Path, tensors: Mapping[str, tuple[tuple[int, ...], int]], *, version: int = 3) -> NamedModel:
    """Write a file with `tensors`, {name: (shape, bytes)}, and values of each type before them."""
    values = [
        text("general.name") + struct.pack("<I", 8) + text("tiny"),
        text("a.float") + struct.pack("<If", 6, 1.5),
        text("a.flag") + struct.pack("<IB", 7, 1),
        text("some.words") + struct.pack("<IIQ", 9, 8, 2) + text("a") + text("bc"),
        text("some.numbers") + struct.pack("<IIQ3q", 9, 11, 3, 1, 2, 3),
    ]
    header, end = struct.pack("<IQQ", version, len(tensors), len(values)) + b"".join(values), 0
    for name, (shape, size) in tensors.items():
        header += text(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, 2, end)
        end += size
    path.write_bytes(GGUF.magic + header + bytes(end))
    return NamedModel("generator", "llama_cpp", str(path), None, Path("d.yaml"), ("generator",), form=GGUF)


def test_embeddings_are_not_multiplied(tiny: Path) -> None:
    named = NamedModel("reranker", "cross_encoder", str(tiny / "reranker"), None, Path("d.yaml"), ("reranker",))
    layer = 4 * 64 * 64 + 2 * 64 * 128
    size = size_of(named)
    assert size is not None
    assert size.weights == 2 * layer + 64 * 64 + 64  # and the head


def test_a_gguf_file_has_the_weights_of_its_matrices_without_the_vocabulary(tmp_path: Path) -> None:
    tensors = {"token_embd.weight": ((32, 100), 1600), "blk.0.ffn_up.weight": ((32, 64), 1152), "norm": ((32,), 128)}
    assert size_of(gguf(tmp_path / "m.gguf", tensors)) == ModelSize(weights=32 * 64, bytes=1152 + 1600)


def test_one_of_two_tables_of_the_vocabulary_is_read_for_each_token_that_is_written(tmp_path: Path) -> None:
    tensors = {"token_embd.weight": ((32, 100), 1600), "output.weight": ((32, 100), 3200), "blk": ((32, 64), 1152)}
    assert size_of(gguf(tmp_path / "m.gguf", tensors)) == ModelSize(weights=32 * 64, bytes=1152 + 3200)


def test_a_fasttext_model_multiplies_nothing(tmp_path: Path) -> None:
    named = NamedModel("detector", "fasttext", str(tmp_path), None, Path("d.yaml"), ("detector",), form=FASTTEXT)
    assert size_of(named) == ModelSize(0, 0)


def test_a_model_that_is_not_here_has_no_size() -> None:
    assert size_of(NamedModel("reranker", "cross_encoder", "/none", None, Path("d.yaml"), ("reranker",))) is None


@pytest.mark.parametrize("length", [4, 10, 40, 150, 200])
def test_a_header_that_is_cut_off_gives_no_size(tmp_path: Path, length: int) -> None:
    named = gguf(tmp_path / "m.gguf", {"blk": ((32, 64), 0)})
    assert size_of(named) is not None
    path = tmp_path / "m.gguf"
    path.write_bytes(path.read_bytes()[:length])
    assert size_of(named) is None


def test_an_unknown_version_of_gguf_gives_no_size(tmp_path: Path) -> None:
    assert size_of(gguf(tmp_path / "m.gguf", {"blk": ((32, 64), 1152)}, version=1)) is None


def test_a_length_beyond_the_file_gives_no_size(tmp_path: Path) -> None:
    path = tmp_path / "m.gguf"
    named = gguf(path, {"blk": ((32, 64), 1152)})
    path.write_bytes(path.read_bytes().replace(text("general.name"), struct.pack("<Q", 2**64 - 1) + b"general.name"))
    assert size_of(named) is None
