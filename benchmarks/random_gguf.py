"""A language model of random weights in a GGUF file, in 4 to 8 bits a weight, with the shape of a real one."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

_CHAT = "{% for message in messages %}{{ message['content'] }}\n{% endfor %}"
_WORDS = ('{"', "semantic", '":', "grammar", ',"', "fluency")  # tokens of a verdict, as real vocabularies have them
_CONTROL = 3  # the type of a token that ends a text


class Shape(NamedTuple):
    """Of Qwen2.5-1.5B, unless said otherwise. `weights`, `tokens`: formats of the matrices and of the vocabulary."""

    hidden: int = 1536
    layers: int = 28
    feed_forward: int = 8960
    heads: int = 12
    key_value_heads: int = 2
    vocabulary: int = 151_936
    weights: str = "Q4_K"
    tokens: str = "Q4_K"


SMALL = Shape(hidden=896, layers=24, feed_forward=4864, heads=14, weights="Q4_0", tokens="Q8_0")
"""Of Qwen2.5-0.5B. Its rows of 896 are no multiple of 256: a file called Q4_K_M has Q5_0 for them."""


class _Format(NamedTuple):
    """`weights` and `bytes`: of a block. `scales`: its first numbers, in float16; weights are between -0.1 and 0.1."""

    weights: int
    bytes: int
    scales: tuple[float, ...]


FORMATS = {
    "Q4_K": _Format(256, 144, (2e-4, 1.5e-3)),
    "Q4_0": _Format(32, 18, (1.2e-2,)),
    "Q5_0": _Format(32, 22, (6e-3,)),
    "Q8_0": _Format(32, 34, (8e-4,)),
}


def write(path: Path, shape: Shape) -> Path:
    """Write a model of the architecture `qwen2` with a chat template; it needs the package gguf.

    Each capital letter and each line break is a token. A chat is its messages, each with a line break."""
    from gguf import GGMLQuantizationType, GGUFWriter

    writer: Any = GGUFWriter(str(path), "qwen2")
    _describe(writer, shape)
    draw = np.random.default_rng(0)
    key_values = shape.hidden // shape.heads * shape.key_value_heads

    def matrix(name: str, rows: int, columns: int, form: str = shape.weights) -> None:
        blocks = _blocks(draw, rows, columns, FORMATS[form])
        writer.add_tensor(f"{name}.weight", blocks, raw_dtype=GGMLQuantizationType[form])

    def vector(name: str, size: int, value: float) -> None:
        writer.add_tensor(name, np.full(size, value, np.float32))

    matrix("token_embd", shape.vocabulary, shape.hidden, shape.tokens)
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
    writer.add_chat_template(_CHAT)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    letters = [chr(n) for n in (*range(33, 127), *range(161, 173), *range(174, 324))]  # one for each byte
    merges = [(word[:n], word[n]) for word in _WORDS for n in range(1, len(word))]
    named = [*letters, *("".join(merge) for merge in merges)]
    writer.add_token_list([*named, *(f"unused{n}" for n in range(shape.vocabulary - len(named)))])
    writer.add_token_types([1] * (shape.vocabulary - 1) + [_CONTROL])
    writer.add_token_merges([" ".join(merge) for merge in merges])
    writer.add_eos_token_id(shape.vocabulary - 1)


def _blocks(draw: np.random.Generator, rows: int, columns: int, form: _Format) -> NDArray[np.uint8]:
    """Return random blocks of a matrix, shape (rows, bytes of a row)."""
    blocks = draw.integers(0, 256, (rows, columns // form.weights, form.bytes), np.uint8)
    scales = np.array(form.scales, np.float16).view(np.uint8)
    blocks[:, :, : len(scales)] = scales
    return blocks.reshape(rows, -1)
