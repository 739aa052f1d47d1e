"""One cold question by stage, with random weights of real sizes: `python -m benchmarks.laptop question`.

A stage is what a deployment calls for the lengths of `qttrag.application.estimate`: 20 passages reranked, three foreign
ones of five translated and scored, one answer. Weights are random, so the most tokens to write are given."""

from __future__ import annotations

import asyncio
import importlib.util
import random
import string
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
from benchmarks.random_gguf import Shape
from qttrag.application.estimate import (
    ANSWER_TOKENS,
    FOREIGN,
    INSTRUCTION_TOKENS,
    PASSAGE_TOKENS,
    VERDICT_TOKENS,
)
from qttrag.generators import shared_prefix
from qttrag.generators.beginnings import Beginnings
from qttrag.generators.llama_cpp import LlamaCppGenerator
from qttrag.models.bert import Bert
from qttrag.models.loading import LocatedModel
from qttrag.protocols import Generator
from qttrag.runtime.tasks import gather_or_cancel
from qttrag.taggers.verdicts import SCHEMA
from qttrag.translators.ctranslate2 import converted
from qttrag.types import Decoding, Message

DEPLOYMENTS = ("laptop", "laptop-gguf", "laptop-fast")
LATER = ", later"  # at the end of a way: a question whose instructions are kept; its other stages take as long
WAYS = ("before", "laptop", "laptop-gguf", f"laptop-gguf{LATER}", "laptop-fast", f"laptop-fast{LATER}")
DEPTH, READ = 20, 5
LAYERS = gpu.REAL.generator[1]  # of the language model of 1.5 B
GGUF = {"laptop-gguf": ("1.5 B in 4 bits", Shape()), "laptop-fast": ("0.5 B in 4 bits", random_gguf.SMALL)}
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
        stages += _of_deployments("rerank", taken, "MiniLM (118 M) in int8")
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
        stages += _of_deployments("translate", taken, "NLLB 600 M in int8, greedy")
    return stages


def score_by_encoder(xlmr: Callable[[Path, int, int], Any]) -> list[Stage]:
    """Encode three originals and their translations, as the tagger of laptop-fast does."""
    texts = torch.tensor([token_numbers(PASSAGE_TOKENS, n) for n in range(2 * FOREIGN)])
    with tempfile.TemporaryDirectory() as folder, torch.inference_mode():
        model = xlmr(Path(folder) / "encoder", 12, 384)
        model(input_ids=texts[:1])
        taken = seconds(lambda: model(input_ids=texts))
    return [Stage("tag", "laptop-fast", taken, f"multilingual-e5-small's shape in float32, {2 * FOREIGN} texts")]


def _of_deployments(stage: str, taken: float, remark: str) -> list[Stage]:
    return [Stage(stage, way, taken, remark) for way in DEPLOYMENTS]


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


def in_llama_cpp(way: str, shape: Shape, what: str, *, later: bool) -> list[Stage]:
    """Answer with a model in 4 bits on llama.cpp, and score with it where the deployment `way` does.

    `later`: also for a second question, whose instructions the generator has kept."""
    with tempfile.TemporaryDirectory() as folder:
        generator = LlamaCppGenerator(str(random_gguf.write(Path(folder) / "random.gguf", shape)))
        return asyncio.run(_in_llama_cpp(way, generator, what, questions=2 if later else 1))


async def _in_llama_cpp(way: str, generator: Generator, what: str, *, questions: int) -> list[Stage]:
    verdict = Decoding(max_tokens=VERDICT_TOKENS, schema=SCHEMA)
    await generator.complete(_chat("", "?"), Decoding(max_tokens=1))  # loads the model
    stages: list[Stage] = []
    for question in range(questions):
        column = f"{way}{LATER}" if question else way
        verdicts = [_chat("TAG", _letters(2 * PASSAGE_TOKENS, f"{question} {n}")) for n in range(FOREIGN)]
        if way != "laptop-fast":
            stages.append(await _completed("tag", column, generator, verdicts, verdict, what))
        answer = _chat("ANSWER", _letters(READ * PASSAGE_TOKENS, str(question)))
        stages.append(await _completed("answer", column, generator, [answer], Decoding(max_tokens=ANSWER_TOKENS), what))
    return stages


async def _completed(
    stage: str, way: str, generator: Generator, chats: Sequence[list[Message]], decoding: Decoding, what: str
) -> Stage:
    start = time.perf_counter()
    completions = await gather_or_cancel(generator.complete(chat, decoding) for chat in chats)
    taken = time.perf_counter() - start
    usages = [completion.usage for completion in completions]
    prompts = "+".join(str(usage.prompt_tokens) for usage in usages)
    written = "+".join(str(usage.completion_tokens) for usage in usages)
    return Stage(stage, way, taken, f"{what}, llama.cpp; prompts of {prompts} tokens, {written} written")


def _chat(instructions: str, text: str) -> list[Message]:
    """Return a chat whose instructions are INSTRUCTION_TOKENS long, those of its turns' line breaks included."""
    system = _letters(INSTRUCTION_TOKENS - 2, instructions) if instructions else ""
    return [{"role": "system", "content": system}, {"role": "user", "content": text}]


def _letters(n: int, seed: str) -> str:
    """Return n capital letters, each a token of the random models; equal seeds give equal letters."""
    draw = random.Random(seed)
    return "".join(draw.choices(string.ascii_uppercase, k=n))


def measure(
    parts: Sequence[Part],
    xlmr: Callable[[Path, int, int], Any],
    *,
    before: bool,
    later: bool = False,
    layers: int | None = None,
) -> Iterator[Stage]:
    """Measure each part once. `xlmr`: makes an encoder in a folder of so many layers and dimensions.

    `layers`: of the language models; with fewer than all, each is measured at this depth and at twice as many. None:
    all. `later`: on llama.cpp, also a later question."""
    if Part.RERANK in parts:
        yield from rerank(xlmr, before=before)
    if Part.TRANSLATE in parts:
        yield from translate(before=before)
    if Part.LLAMA_CPP in parts and importlib.util.find_spec("llama_cpp") and importlib.util.find_spec("gguf"):
        yield from score_by_encoder(xlmr)
        for way, (what, shape) in GGUF.items():

            def on_llama_cpp(depth: int, way: str = way, what: str = what, shape: Shape = shape) -> list[Stage]:
                return in_llama_cpp(way, shape._replace(layers=depth), what, later=later)

            yield from of_all_layers(on_llama_cpp, layers, shape.layers)
    if Part.TORCH in parts:
        yield from of_all_layers(partial(in_torch, before=before), layers, LAYERS)


def of_all_layers(measured: Callable[[int], list[Stage]], layers: int | None, every: int) -> list[Stage]:
    """Return the stages of the whole model, which has `every` layers. With fewer layers, from two depths: each further
    layer costs as much as those between them, and what is beside the layers, as the vocabulary, counts once."""
    if layers is None or layers >= every:
        return measured(every)
    few = measured(layers)
    times = (every - layers) / layers
    how = f"; from {layers} and {2 * layers} of {every} layers"
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
