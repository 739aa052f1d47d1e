"""A language model of random weights in a GGUF file, in 4 bits a weight, with the shape of a real one."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

_BLOCK, _BYTES = 256, 144  # weights in a block of Q4_K, and its bytes


class Shape(NamedTuple):
    """Of Qwen2.5-1.5B, unless said otherwise."""

    hidden: int = 1536
    layers: int = 28
    feed_forward: int = 8960
    heads: int = 12
    key_value_heads: int = 2
    vocabulary: int = 151_936


def write(path: Path, shape: Shape) -> Path:
    """Write a model of the architecture `qwen2`, all matrices in Q4_K; it needs the package gguf."""
    from gguf import GGMLQuantizationType, GGUFWriter

    writer: Any = GGUFWriter(str(path), "qwen2")
    _describe(writer, shape)
    draw = np.random.default_rng(0)
    key_values = shape.hidden // shape.heads * shape.key_value_heads

    def matrix(name: str, rows: int, columns: int) -> None:
        blocks = _blocks(draw, rows, columns)
        writer.add_tensor(f"{name}.weight", blocks, raw_dtype=GGMLQuantizationType.Q4_K)

    def vector(name: str, size: int, value: float) -> None:
        writer.add_tensor(name, np.full(size, value, np.float32))

    matrix("token_embd", shape.vocabulary, shape.hidden)
    vector("output_norm.weight", shape.hidden, 1.0)
    for layer in range(shape.layers):
        for name, rows in [("attn_q", shape.hidden), ("attn_k", key_values), ("attn_v", key_values)]:
            matrix(f"blk.{layer}.{name}", rows, shape.hidden)
            vector(f"blk.{layer}.{name}.bias", rows, 0.0)
        matrix(f"blk.{layer}.attn_output", shape.hidden, shape.hidden)
        matrix(f"blk.{layer}.ffn_gate", shape.feed_forward, shape.hidden)
        matrix(f"blk.{layer}.ffn_up", shape.feed_forward, shape.hidden)
        matrix(f"blk.{layer}.ffn_down", shape.hidden, shape.feed_forward)
        vector(f"blk.{layer}.attn_norm.weight", shape.hidden, 1.0)
        vector(f"blk.{layer}.ffn_norm.weight", shape.hidden, 1.0)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _describe(writer: Any, shape: Shape) -> None:
    writer.add_block_count(shape.layers)
    writer.add_context_length(8192)
    writer.add_embedding_length(shape.hidden)
    writer.add_feed_forward_length(shape.feed_forward)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.key_value_heads)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    letters = [chr(n) for n in (*range(33, 127), *range(161, 173), *range(174, 324))]  # one for each byte
    words = [f"unused{n}" for n in range(shape.vocabulary - len(letters))]
    writer.add_token_list([*letters, *words])
    writer.add_token_types([1] * shape.vocabulary)
    writer.add_token_merges([f"{letters[0]} {letters[1]}"])
    writer.add_eos_token_id(shape.vocabulary - 1)


def _blocks(draw: np.random.Generator, rows: int, columns: int) -> NDArray[np.uint8]:
    """Return random blocks, each with a small scale and minimum, so that the weights are between -0.1 and 0.1."""
    blocks = draw.integers(0, 256, (rows, columns // _BLOCK, _BYTES), np.uint8)
    blocks[:, :, :4] = np.array([2e-4, 1.5e-3], np.float16).view(np.uint8)
    return blocks.reshape(rows, -1)
