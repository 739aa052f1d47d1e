"""One cold question by stage, with random weights of real sizes: `python -m benchmarks.laptop question`.

A stage is what a deployment calls for the lengths of `qttrag.application.estimate`: 20 passages reranked, three foreign
ones of five translated and scored, one answer. Weights are random, so the lengths of what is written are given."""

from __future__ import annotations

import importlib.util
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from benchmarks import gpu, random_gguf
from benchmarks.home import home
from qttrag.application.estimate import (
    ANSWER_TOKENS,
    FOREIGN,
    INSTRUCTION_TOKENS,
    PASSAGE_TOKENS,
    VERDICT_TOKENS,
)
from qttrag.generators import shared_prefix
from qttrag.generators.beginnings import Beginnings
from qttrag.models.bert import Bert
from qttrag.models.loading import LocatedModel
from qttrag.translators.ctranslate2 import converted

WAYS = ("before", "laptop", "laptop-gguf")
DEPTH, READ = 20, 5
LAYERS = gpu.REAL.generator[1]  # of the language model
_VOCABULARY = 150_000  # token numbers below it are in every model here


class Part(StrEnum):
    """What is measured; the language model, which scores and answers, on llama.cpp and in torch."""

    RERANK = "rerank"
    TRANSLATE = "translate"
    LLAMA_CPP = "llama-cpp"
    TORCH = "torch"


class Stage(NamedTuple):
    """Seconds of a stage. `remark`: what ran, and how much of it was measured."""

    stage: str
    way: str
    seconds: float
    remark: str


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def token_numbers(n: int, seed: int) -> list[int]:
    numbers: list[int] = np.random.default_rng(seed).integers(1000, _VOCABULARY, n).tolist()
    return numbers


def prompts() -> tuple[list[list[int]], list[int]]:
    """Return the prompts of the verdicts, which share their instructions, and the prompt of the answer."""
    instructions = token_numbers(INSTRUCTION_TOKENS, 0)
    verdicts = [[*instructions, *token_numbers(2 * PASSAGE_TOKENS, n)] for n in range(1, FOREIGN + 1)]
    return verdicts, token_numbers(INSTRUCTION_TOKENS + READ * PASSAGE_TOKENS, 9)


def rerank(xlmr: Callable[[Path, int, int], Any], *, before: bool) -> list[Stage]:
    rows = [token_numbers(PASSAGE_TOKENS, n) for n in range(DEPTH)]
    stages = []
    with tempfile.TemporaryDirectory() as folder, home(folder):
        if before:
            part = torch.tensor(rows[: DEPTH // 5])
            model = xlmr(Path(folder) / "large", 24, 1024)
            with torch.inference_mode():
                taken = seconds(lambda: model(input_ids=part)) * 5
            stages.append(Stage("rerank", "before", taken, "XLM-R large (568 M) in float32; 4 passages, times 5"))
            del model
        xlmr(Path(folder) / "small", 12, 384)
        small = Bert("reranker", LocatedModel(Path(folder) / "small", "random"), "int8")
        small.hidden_states(rows[:1])
        taken = seconds(lambda: small.hidden_states(rows))
        stages += [Stage("rerank", way, taken, "MiniLM (118 M) in int8") for way in ("laptop", "laptop-gguf")]
    return stages


def translate(*, before: bool) -> list[Stage]:
    """Translate as many tokens as are read, in sentences of 25."""
    import ctranslate2

    sentence, stages = 25, []
    with tempfile.TemporaryDirectory() as folder, home(folder):
        path = gpu.make_nllb(Path(folder) / "nllb", gpu.REAL)
        model = ctranslate2.Translator(str(converted(LocatedModel(path, "random"), "int8")), compute_type="int8")
        texts = [
            [f"▁unused{number}" for number in token_numbers(sentence, n)]
            for n in range(FOREIGN * PASSAGE_TOKENS // sentence)
        ]

        def run(beam: int) -> None:
            model.translate_batch(
                texts, target_prefix=[["kor_Hang"]] * len(texts), beam_size=beam,
                min_decoding_length=sentence, max_decoding_length=sentence,
            )  # fmt: skip

        model.translate_batch(texts[:1], max_decoding_length=2)
        if before:
            stages.append(Stage("translate", "before", seconds(lambda: run(4)), "NLLB 600 M in int8, beam 4"))
        taken = seconds(lambda: run(1))
        stages += [Stage("translate", way, taken, "NLLB 600 M in int8, greedy") for way in ("laptop", "laptop-gguf")]
    return stages


def in_torch(layers: int, *, before: bool) -> list[Stage]:
    """Score and answer with a model of 1.5 B in float32; before: each verdict on its own."""
    model = _llama(layers)
    verdicts, answer = prompts()
    what, stages = "1.5 B in float32", []
    with torch.inference_mode():
        if before:
            alone = seconds(lambda: _complete(model, verdicts[:1], VERDICT_TOKENS)) * FOREIGN
            stages.append(Stage("tag", "before", alone, f"{what}; one verdict, times {FOREIGN}"))
        together = seconds(lambda: _complete(model, verdicts, VERDICT_TOKENS))
        stages.append(Stage("tag", "laptop", together, f"{what}, verdicts in one batch, instructions once"))
        taken = seconds(lambda: _complete(model, [answer], ANSWER_TOKENS))
    ways = ("before", "laptop") if before else ("laptop",)
    return [*stages, *(Stage("answer", way, taken, what) for way in ways)]


def in_llama_cpp(layers: int) -> list[Stage]:
    """Score and answer with a model of 1.5 B in 4 bits, one prompt after another, as llama.cpp does here."""
    from llama_cpp import Llama

    verdicts, answer = prompts()
    threads = torch.get_num_threads()
    with tempfile.TemporaryDirectory() as folder:
        file = random_gguf.write(Path(folder) / "random.gguf", random_gguf.Shape(layers=layers))
        model = Llama(str(file), n_ctx=8192, n_threads=threads, n_threads_batch=threads, verbose=False)

        def complete(ids: list[int], tokens: int) -> None:
            for written, _ in enumerate(model.generate(ids, temp=0.0), start=1):
                if written == tokens:
                    return

        complete(verdicts[0][:8], 1)
        tagged = sum(seconds(partial(complete, ids, VERDICT_TOKENS)) for ids in verdicts)
        answered = seconds(lambda: complete(answer, ANSWER_TOKENS))
    what = "1.5 B in 4 bits, llama.cpp"
    remark = f"{what}, instructions once"
    return [Stage("tag", "laptop-gguf", tagged, remark), Stage("answer", "laptop-gguf", answered, what)]


def measure(
    parts: Sequence[Part], xlmr: Callable[[Path, int, int], Any], *, before: bool, layers: int = LAYERS
) -> Iterator[Stage]:
    """Measure each part once. `xlmr`: makes an encoder in a folder of so many layers and dimensions.

    `layers`: of the language model; with fewer than all, it is measured at this depth and at twice as many."""
    if Part.RERANK in parts:
        yield from rerank(xlmr, before=before)
    if Part.TRANSLATE in parts:
        yield from translate(before=before)
    if Part.LLAMA_CPP in parts and importlib.util.find_spec("llama_cpp") and importlib.util.find_spec("gguf"):
        yield from of_all_layers(in_llama_cpp, layers)
    if Part.TORCH in parts:
        yield from of_all_layers(partial(in_torch, before=before), layers)


def of_all_layers(measured: Callable[[int], list[Stage]], layers: int) -> list[Stage]:
    """Return the stages of the whole model. With fewer layers, from two depths: each further layer costs as much
    as those between them, and what is beside the layers, as the vocabulary, counts once."""
    few = measured(layers)
    if layers == LAYERS:
        return few
    times = (LAYERS - layers) / layers
    how = f"; from {layers} and {2 * layers} of {LAYERS} layers"
    return [
        one._replace(seconds=one.seconds + times * (two.seconds - one.seconds), remark=one.remark + how)
        for one, two in zip(few, measured(2 * layers), strict=True)
    ]


def _llama(layers: int) -> Any:
    from transformers import LlamaConfig, LlamaForCausalLM

    hidden, _, heads, feed_forward, vocabulary = gpu.REAL.generator
    config = LlamaConfig(
        vocab_size=vocabulary, hidden_size=hidden, intermediate_size=feed_forward, num_hidden_layers=layers,
        num_attention_heads=heads, num_key_value_heads=2, max_position_embeddings=8192, tie_word_embeddings=True,
        eos_token_id=None, pad_token_id=0,
    )  # fmt: skip
    with torch.device("meta"):
        empty: Any = LlamaForCausalLM(config)
    model = empty.to_empty(device="cpu")
    model.tie_weights()
    model.model.rotary_emb = type(model.model.rotary_emb)(config)  # its frequencies are no parameters
    for parameter in model.parameters():
        parameter.data.uniform_(-0.02, 0.02)
    return model.eval()


def _complete(model: Any, ids: list[list[int]], tokens: int) -> Any:
    prefix = shared_prefix.of_batch(model, ids, Beginnings())
    rows, masks = zip(*(prefix.padded(row, len(ids[0]), 0) for row in ids), strict=True)
    return model.generate(
        input_ids=torch.tensor(rows), attention_mask=torch.tensor(masks), past_key_values=prefix.cache,
        max_new_tokens=tokens, do_sample=False,
    )  # fmt: skip
