"""How fast llama.cpp reads and writes with weights in each format: `python -m benchmarks.laptop formats`.

Processor time of one thread, so that other programs disturb it little; what is beside the layers is subtracted."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks import random_gguf
from benchmarks.cold_question import token_numbers
from benchmarks.random_gguf import Shape

_SHAPE = Shape(hidden=1024, feed_forward=4864, heads=16)  # rows that blocks of 32 and of 256 weights fit
_DEPTHS = (2, 6)  # layers
_WRITTEN = 10  # tokens


class FormatRate(NamedTuple):
    """`read`: operations a second of the processor. `write`: its seconds for a token and a weight."""

    name: str
    read: float
    write: float


class _Seconds(NamedTuple):
    read: float
    write: float


def measure(tokens: int, rounds: int) -> Iterator[FormatRate]:
    """Read `tokens` and write some, with each format in turn; the least time of all rounds counts."""
    models = {(name, layers): _model(name, layers) for name in random_gguf.FORMATS for layers in _DEPTHS}
    ids = token_numbers(tokens, 0)
    rows = [{key: _seconds(model, ids) for key, model in models.items()} for _ in range(rounds)]
    weights = _weights(_DEPTHS[1]) - _weights(_DEPTHS[0])
    for name in random_gguf.FORMATS:
        few, many = (_Seconds(*map(min, zip(*(row[name, layers] for row in rows), strict=True))) for layers in _DEPTHS)
        yield FormatRate(name, 2 * weights * tokens / (many.read - few.read), (many.write - few.write) / weights)


def _weights(layers: int) -> int:
    hidden, key_values = _SHAPE.hidden, _SHAPE.hidden // _SHAPE.heads * _SHAPE.key_value_heads
    return layers * hidden * (2 * hidden + 2 * key_values + 3 * _SHAPE.feed_forward)


def _model(name: str, layers: int) -> Any:
    from llama_cpp import Llama

    with tempfile.TemporaryDirectory() as folder:
        shape = _SHAPE._replace(layers=layers, weights=name, tokens=name)
        file = random_gguf.write(Path(folder) / "random.gguf", shape)
        return Llama(str(file), n_ctx=2048, n_threads=1, n_threads_batch=1, verbose=False)


def _seconds(model: Any, ids: list[int]) -> _Seconds:
    model.reset()
    start = time.process_time()
    model.eval(ids)
    middle = time.process_time()
    for _ in range(_WRITTEN):
        model.eval(ids[:1])
    return _Seconds(middle - start, (time.process_time() - middle) / _WRITTEN)
