"""How long a question takes on this machine's processor, from two measured rates and the sizes of the models.

docs/sizing.md shows the arithmetic. The figure says whether a deployment suits a machine, not how long a certain
question takes."""

from __future__ import annotations

import json
import struct
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from qttrag.config.deployment import Deployment
from qttrag.models import single_file
from qttrag.models.inventory import NamedModel

PASSAGE_TOKENS = 200
FOREIGN = 3  # of the passages that are read, as many are translated and scored
VERDICT_TOKENS = 25
ANSWER_TOKENS = 60
INSTRUCTION_TOKENS = 400  # tokens of a prompt beside its passages
INT8 = 2.0  # times the rate of float32, measured: python -m benchmarks.laptop
_EMBEDDINGS = ("embed", "shared.weight", "lm_head", "position")  # parts of names; they are looked up, not multiplied
_GGUF_BITS = 4.85  # for each weight, of Q4_K_M


class Rates(NamedTuple):
    """What the processor does in float32: operations a second with many rows, and bytes a second read for one row."""

    operations: float
    bytes: float


class StageSeconds(NamedTuple):
    """The time of one stage and how it was computed."""

    stage: str
    seconds: float
    arithmetic: str


def measure_rates() -> Rates:
    """Multiply matrices for a quarter of a second and return the best rates seen."""
    import numpy as np

    weights = np.ones((4096, 4096), np.float32)  # 67 MB, more than caches hold
    rows = np.ones((128, 4096), np.float32)
    many = 2 * 128 * 4096 * 4096 / _best_seconds(lambda: rows @ weights)
    return Rates(many, weights.nbytes / _best_seconds(lambda: rows[:1] @ weights))


def _best_seconds(call: Any) -> float:
    call()  # threads start, pages are mapped
    best, end = float("inf"), time.perf_counter() + 0.12
    while time.perf_counter() < end:
        start = time.perf_counter()
        call()
        best = min(best, time.perf_counter() - start)
    return best


def weights_of(named: NamedModel) -> float | None:
    """Return the number of weights that each token is multiplied with; None: the model is not on this machine."""
    from qttrag.errors import QttragError

    try:
        path = named.locate().path
    except QttragError:
        return None
    if named.form == single_file.FASTTEXT:
        return 0.0  # it adds vectors up
    if named.form == single_file.GGUF:
        return path.stat().st_size * 8 / _GGUF_BITS
    return float(sum(_multiplied(file) for file in path.glob("*.safetensors")))


def _multiplied(file: Path) -> int:
    """Return the weights in a safetensors file that are multiplied; only its header is read."""
    with file.open("rb") as stream:
        (length,) = struct.unpack("<Q", stream.read(8))
        header = json.loads(stream.read(length))
    shapes = {name: tensor["shape"] for name, tensor in header.items() if name != "__metadata__"}
    return sum(
        shape[0] * shape[1]
        for name, shape in shapes.items()
        if len(shape) == 2 and not any(part in name for part in _EMBEDDINGS)
    )


def question(deployment: Deployment, weights: Mapping[str, float], rates: Rates) -> list[StageSeconds]:
    """Return the seconds of each stage whose model is in `weights`, by stage.

    A cold question: `depth` passages are reranked, `top_k` are read, FOREIGN of them translated and scored."""
    read = deployment.top_k
    answer_prompt = INSTRUCTION_TOKENS + read * PASSAGE_TOKENS
    verdict_prompt = INSTRUCTION_TOKENS + 2 * PASSAGE_TOKENS
    generator, tagger = weights.get("generator"), weights.get("tagger.generator", weights.get("generator"))
    stages = []
    if reranker := weights.get("reranker"):
        tokens = deployment.depth * PASSAGE_TOKENS
        stages.append(_reading("rerank", reranker, tokens, rates, INT8 if _is_int8(deployment.reranker) else 1.0))
    if translator := weights.get("translator"):
        beams = (deployment.translator or {}).get("beam_size", 4)
        # half of the weights read the original, half write as many tokens, in each beam; one batch of all sentences
        tokens = FOREIGN * PASSAGE_TOKENS * (1 + beams) / 2
        stages.append(_reading("translate", translator, tokens, rates, INT8))
    if deployment.tagger and tagger and deployment.tagger.get("kind") == "llm":
        spec = deployment.tagger.get("generator") or deployment.generator
        reading = _reading(
            "tag", tagger, INSTRUCTION_TOKENS + FOREIGN * (verdict_prompt - INSTRUCTION_TOKENS), rates, 1.0
        )
        replies = FOREIGN if _is_gguf(spec) else 1  # llama.cpp writes one after another, transformers all together
        stages.append(_and_writing(reading, tagger, replies * VERDICT_TOKENS, rates, spec))
    if generator:
        reading = _reading("answer", generator, answer_prompt, rates, 1.0)
        stages.append(_and_writing(reading, generator, ANSWER_TOKENS, rates, deployment.generator))
    return stages


def _is_int8(spec: Mapping[str, Any] | None) -> bool:
    return spec is not None and spec.get("kind") == "cross_encoder" and spec.get("dtype", "auto") != "float32"


def _is_gguf(spec: Mapping[str, Any] | None) -> bool:
    return spec is not None and spec.get("kind") == "llama_cpp"


def _reading(stage: str, weights: float, tokens: float, rates: Rates, faster: float) -> StageSeconds:
    seconds = 2 * weights * tokens / rates.operations / faster
    times = f" / {faster:g} (int8)" if faster != 1 else ""
    arithmetic = f"2 x {weights / 1e6:,.0f} M x {tokens:,.0f} tokens / {rates.operations / 1e9:,.0f} G/s{times}"
    return StageSeconds(stage, seconds, arithmetic)


def _and_writing(
    reading: StageSeconds, weights: float, tokens: int, rates: Rates, spec: Mapping[str, Any] | None
) -> StageSeconds:
    """Add the time for writing: for each token, all weights come from memory."""
    size = weights * (_GGUF_BITS / 8 if _is_gguf(spec) else 4)
    arithmetic = f"{tokens} tokens x {size / 1e9:.1f} GB / {rates.bytes / 1e9:.0f} GB/s"
    seconds = reading.seconds + tokens * size / rates.bytes
    return StageSeconds(reading.stage, seconds, f"{reading.arithmetic} + {arithmetic}")
