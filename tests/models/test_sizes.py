"""The sizes of models, from the headers of their files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gguf import GGUFWriter

from qttrag.models.inventory import NamedModel
from qttrag.models.single_file import FASTTEXT, GGUF
from qttrag.models.sizes import ModelSize, size_of


def write(path: Path, tensors: Mapping[str, tuple[int, ...]]) -> NamedModel:
    """Write a GGUF file with float16 tensors of these shapes."""
    writer: Any = GGUFWriter(str(path), "llama")
    writer.add_token_list(["a", "b"])
    for name, shape in tensors.items():
        writer.add_tensor(name, np.zeros(shape, np.float16))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return NamedModel("generator", "llama_cpp", str(path), None, Path("d.yaml"), ("generator",), form=GGUF)


def test_embeddings_are_not_multiplied(tiny: Path) -> None:
    named = NamedModel("reranker", "cross_encoder", str(tiny / "reranker"), None, Path("d.yaml"), ("reranker",))
    layer = 4 * 64 * 64 + 2 * 64 * 128
    size = size_of(named)
    assert size is not None
    assert size.weights == 2 * layer + 64 * 64 + 64  # and the head


def test_a_gguf_file_has_the_weights_of_its_matrices_without_the_vocabulary(tmp_path: Path) -> None:
    tensors = {"token_embd.weight": (100, 32), "blk.0.ffn_up.weight": (64, 32), "output_norm.weight": (32,)}
    assert size_of(write(tmp_path / "m.gguf", tensors)) == ModelSize(weights=64 * 32, bytes=2 * (64 + 100) * 32)


def test_one_of_two_tables_of_the_vocabulary_is_read_for_each_token_that_is_written(tmp_path: Path) -> None:
    tensors = {"token_embd.weight": (100, 32), "output.weight": (100, 32), "blk.0.ffn_up.weight": (64, 32)}
    assert size_of(write(tmp_path / "m.gguf", tensors)) == ModelSize(weights=64 * 32, bytes=2 * (64 + 100) * 32)


def test_a_fasttext_model_multiplies_nothing(tmp_path: Path) -> None:
    named = NamedModel("detector", "fasttext", str(tmp_path), None, Path("d.yaml"), ("detector",), form=FASTTEXT)
    assert size_of(named) == ModelSize(0, 0)


def test_a_model_that_is_not_here_has_no_size() -> None:
    assert size_of(NamedModel("reranker", "cross_encoder", "/none", None, Path("d.yaml"), ("reranker",))) is None


@pytest.mark.parametrize("length", [4, 10, 40, 100])
def test_a_header_that_is_cut_off_gives_no_size(tmp_path: Path, length: int) -> None:
    named = write(tmp_path / "m.gguf", {"blk.0.ffn_up.weight": (64, 32)})
    assert size_of(named) is not None
    path = tmp_path / "m.gguf"
    path.write_bytes(path.read_bytes()[:length])
    assert size_of(named) is None


def test_another_file_gives_no_size(tmp_path: Path) -> None:
    named = write(tmp_path / "m.gguf", {"blk.0.ffn_up.weight": (64, 32)})
    (tmp_path / "m.gguf").write_bytes(b"not a model" * 1000)
    assert size_of(named) is None
