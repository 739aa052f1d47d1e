"""How long a question takes on this machine's processor, from two measured rates and the sizes of the models.

docs/sizing.md shows the arithmetic. The figure says whether a deployment suits a machine, not how long a certain
question takes."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, NamedTuple

from qttrag.config.deployment import Deployment
from qttrag.models.sizes import ModelSize

PASSAGE_TOKENS = 200
FOREIGN = 3  # of the passages that are read, as many are translated and scored
VERDICT_TOKENS = 25
VERDICT_STEPS = 6
ANSWER_TOKENS = 60
INSTRUCTION_TOKENS = 400  # tokens of a prompt beside its passages
INT8 = 2.0  # times the rate of float32, measured: python -m benchmarks.laptop


class Rates(NamedTuple):
    """What the processor does in float32: operations a second with many rows, and bytes a second read for one row."""

    operations: float
    bytes: float


class StageSeconds(NamedTuple):
    """The time of one stage and how it was computed. `seconds`: of the first question after the start; `later`: of
    later ones in the same language, for which a language model in this process has kept its instructions."""

    stage: str
    seconds: float
    later: float
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


def question(deployment: Deployment, sizes: Mapping[str, ModelSize], rates: Rates) -> list[StageSeconds]:
    """Return the seconds of each stage whose model is in `sizes`, by the place that names it.

    A cold question: `depth` passages are reranked, `top_k` are read, FOREIGN of them translated and scored."""
    stages = []
    if reranker := sizes.get("reranker"):
        tokens = deployment.depth * PASSAGE_TOKENS
        stages.append(_reading("rerank", reranker, tokens, rates, INT8 if _is_int8(deployment.reranker) else 1.0))
    if translator := sizes.get("translator"):
        beams = (deployment.translator or {}).get("beam_size", 4)
        # half of the weights read the original, half write as many tokens, in each beam; one batch of all sentences
        tokens = FOREIGN * PASSAGE_TOKENS * (1 + beams) / 2
        stages.append(_reading("translate", translator, tokens, rates, INT8))
    if tagging := _tagging(deployment, sizes, rates):
        stages.append(tagging)
    if generator := sizes.get("generator"):
        stages.append(_prompting("answer", generator, deployment.top_k * PASSAGE_TOKENS, ANSWER_TOKENS, rates))
    return stages


def first_and_later(first: float, later: float, *, decimals: int) -> str:
    """Return the seconds of the first question, and those of later ones if they are fewer when rounded."""
    one, other = (f"{seconds:,.{decimals}f}" for seconds in (first, later))
    return one if one == other else f"{one}, later ones in the same language {other}"


def _tagging(deployment: Deployment, sizes: Mapping[str, ModelSize], rates: Rates) -> StageSeconds | None:
    spec = deployment.tagger or {}
    if spec.get("kind") == "embedding":
        place, encoder = _model_of(spec, "encoder", "retriever.encoder", deployment.retriever.get("encoder"))
        if size := sizes.get(place):
            faster = INT8 if encoder.get("dtype") == "int8" else 1.0
            return _reading("tag", size, FOREIGN * 2 * PASSAGE_TOKENS, rates, faster)
    elif spec.get("kind") == "llm":
        place, generator = _model_of(spec, "generator", "generator", deployment.generator)
        if size := sizes.get(place):
            return _verdicts(size, rates, llama_cpp=_is_llama_cpp(generator))
    return None


def _model_of(tagger: Mapping[str, Any], stage: str, place: str, default: Any) -> tuple[str, Mapping[str, Any]]:
    """Return the place and the settings of a tagger's model: its own, or the deployment's at `place`."""
    own = tagger.get(stage)
    return (f"tagger.{stage}", own) if isinstance(own, Mapping) else (place, default or {})


def _verdicts(size: ModelSize, rates: Rates, *, llama_cpp: bool) -> StageSeconds:
    """llama.cpp writes one verdict after another, but reads the tokens that its schema forces; transformers writes all
    verdicts together, every token."""
    texts = FOREIGN * 2 * PASSAGE_TOKENS
    if not llama_cpp:
        return _prompting("tag", size, texts, VERDICT_TOKENS, rates)
    forced = FOREIGN * (VERDICT_TOKENS - VERDICT_STEPS)
    return _prompting("tag", size, texts + forced, FOREIGN * VERDICT_STEPS, rates)


def _is_int8(spec: Mapping[str, Any] | None) -> bool:
    return spec is not None and spec.get("kind") == "cross_encoder" and spec.get("dtype", "auto") != "float32"


def _is_llama_cpp(spec: Mapping[str, Any] | None) -> bool:
    return spec is not None and spec.get("kind") == "llama_cpp"


def _reading(stage: str, size: ModelSize, tokens: float, rates: Rates, faster: float = 1.0) -> StageSeconds:
    seconds = 2 * size.weights * tokens / rates.operations / faster
    times = f" / {faster:g} (int8)" if faster != 1 else ""
    arithmetic = f"2 x {size.weights / 1e6:,.0f} M x {tokens:,.0f} tokens / {rates.operations / 1e9:,.0f} G/s{times}"
    return StageSeconds(stage, seconds, seconds, arithmetic)


def _prompting(stage: str, size: ModelSize, texts: float, written: int, rates: Rates) -> StageSeconds:
    """Return the time for the instructions and `texts` tokens read, and for `written` tokens, for each of which all
    weights come from memory."""
    reading = _reading(stage, size, INSTRUCTION_TOKENS + texts, rates)
    seconds = reading.seconds + written * size.bytes / rates.bytes
    later = seconds - _reading(stage, size, INSTRUCTION_TOKENS, rates).seconds
    writing = f"{written} tokens x {size.bytes / 1e9:.1f} GB / {rates.bytes / 1e9:.0f} GB/s"
    return StageSeconds(stage, seconds, later, f"{reading.arithmetic} + {writing}")
