"""Rates and memory of the models on one GPU, with random weights of real shapes: `python -m benchmarks.gpu`.

Nothing is downloaded. Without a card it exits with 2; `--device cpu --small` runs the same code with tiny shapes. The
rates of encoder and reranker stand beside the arithmetic of docs/sizing.md: the operations of a passage at 40 % of the
card's float16 peak."""

from __future__ import annotations

import asyncio
import gc
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Literal, NamedTuple

import torch
import typer

from qttrag.cli.output import console, table
from qttrag.encoders.sentence_transformers import SentenceTransformersEncoder
from qttrag.generators.transformers import TransformersGenerator
from qttrag.rerankers.cross_encoder import CrossEncoderReranker
from qttrag.runtime.tasks import gather_or_cancel
from qttrag.trace import Trace
from qttrag.translators.nllb import NllbTranslator
from qttrag.types import Decoding, Hit, Lang, Passage, Query
from tests import tiny_models
from tests.texts import paragraph

PEAKS = {"T4": 65e12, "L4": 121e12, "A10": 125e12, "A100": 312e12, "H100": 989e12, "H200": 989e12}
"""Operations a second in float16, dense, by the vendor's data sheets."""

_USED = 0.4  # of the peak, as in docs/sizing.md
_EN, _KO = Lang("en"), Lang("ko")


class Shape(NamedTuple):
    """Sizes of the models and of the work. Real ones: BGE-M3, bge-reranker-v2-m3, NLLB-200 600M, Qwen2.5-1.5B."""

    encoder: tuple[int, int]  # hidden, layers
    nllb: tuple[int, int, int]  # hidden, layers, vocabulary
    generator: tuple[int, int, int, int, int]  # hidden, layers, heads, feed-forward, vocabulary
    passages: int
    translations: int
    prompts: int
    answer_tokens: int


REAL = Shape((1024, 24), (1024, 12, 256_206), (1536, 28, 12, 8960, 151_936), 4096, 512, 64, 128)
SMALL = Shape((128, 2), (64, 2, 2_000), (128, 2, 4, 256, 2_000), 64, 8, 4, 8)


class Rate(NamedTuple):
    """A measured rate, of `unit` a second; `arithmetic`: the expected one, None where there is none."""

    what: str
    rate: float
    unit: str
    arithmetic: float | None
    memory: float | None
    remark: str = ""


def make_reranker(out: Path, shape: Shape) -> Path:
    from transformers import XLMRobertaForSequenceClassification

    tokenizer, (hidden, layers) = tiny_models.xlmr_tokenizer(), shape.encoder
    config = tiny_models._xlmr_config(len(tokenizer), hidden=hidden, layers=layers, num_labels=1)
    XLMRobertaForSequenceClassification(config).save_pretrained(out)
    tokenizer.save_pretrained(out)
    return out


def make_nllb(out: Path, shape: Shape) -> Path:
    """Build a model whose vocabulary is filled up to the real size, which the projection of each token depends on."""
    from transformers import M2M100Config, M2M100ForConditionalGeneration, NllbTokenizer

    hidden, layers, size = shape.nllb
    pieces, merges = tiny_models._byte_pairs(800)
    vocab = pieces | {f"▁unused{n}": n for n in range(len(pieces), size - 204)}
    tokenizer = NllbTokenizer(vocab=vocab, merges=merges, src_lang="eng_Latn", model_max_length=512)
    config = M2M100Config(
        vocab_size=len(tokenizer), d_model=hidden, encoder_layers=layers, decoder_layers=layers,
        encoder_attention_heads=max(hidden // 64, 1), decoder_attention_heads=max(hidden // 64, 1),
        encoder_ffn_dim=4 * hidden, decoder_ffn_dim=4 * hidden, max_position_embeddings=1024, scale_embedding=True,
        decoder_start_token_id=2, bos_token_id=0, pad_token_id=1, eos_token_id=2, tie_word_embeddings=True,
    )  # fmt: skip
    M2M100ForConditionalGeneration(config).half().save_pretrained(out)
    tokenizer.save_pretrained(out)
    return out


def make_generator(out: Path, shape: Shape) -> Path:
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

    hidden, layers, heads, feed_forward, vocab = shape.generator
    tokenizer = AutoTokenizer.from_pretrained(tiny_models.make_llama(out))
    config = LlamaConfig(
        vocab_size=vocab, hidden_size=hidden, intermediate_size=feed_forward, num_hidden_layers=layers,
        num_attention_heads=heads, num_key_value_heads=2, max_position_embeddings=8192, tie_word_embeddings=True,
        bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id,
    )  # fmt: skip
    LlamaForCausalLM(config).half().save_pretrained(out)
    return out


class Machine:
    """The device, its memory and its expected rates."""

    def __init__(self, device: str) -> None:
        self.device = device
        self.is_gpu = device.startswith("cuda")
        self.name = torch.cuda.get_device_name(device) if self.is_gpu else "cpu"
        words = self.name.upper().replace("-", " ").split()
        self.peak = next((peak for card, peak in PEAKS.items() if card in words), None)

    def begin(self) -> None:
        gc.collect()
        if self.is_gpu:
            torch.cuda.empty_cache()

    def memory(self) -> float | None:
        """Return the gigabytes in use on the card by all that runs there; None on a CPU."""
        if not self.is_gpu:
            return None
        free, total = torch.cuda.mem_get_info(self.device)
        return (total - free) / 1e9

    def expected(self, operations: float) -> float | None:
        """Return how many units of so many operations a second has; None for an unknown card."""
        return None if self.peak is None else _USED * self.peak / operations


def operations(tokens: int, hidden: int, layers: int) -> float:
    """Return the operations of one passage through an encoder, without its embeddings; see docs/sizing.md."""
    return 2 * 12 * layers * hidden**2 * tokens + 4 * layers * tokens**2 * hidden


async def median_seconds(work: Callable[[], Awaitable[object]], rounds: int) -> float:
    await work()  # kernels are chosen and memory is taken in the first run
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        await work()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


async def encode(folder: Path, shape: Shape, machine: Machine, rounds: int) -> Rate:
    hidden, layers = shape.encoder
    path = tiny_models.make_encoder(folder / "encoder", hidden=hidden, layers=layers)
    encoder = SentenceTransformersEncoder(str(path), revision=None, device=machine.device, max_tokens=160)
    batch = 16_384 // 160
    texts = [paragraph("en", 40, seed=n) for n in range(shape.passages)]
    tokens = encoder.tokenise(texts)

    async def work() -> None:
        for start in range(0, len(tokens), batch):
            encoder.encode_prepared(encoder.prepare(tokens[start : start + batch]))

    length = statistics.mean(len(text.ids) for text in tokens)
    seconds = await median_seconds(work, rounds)
    expected = machine.expected(operations(int(length), hidden, layers))
    remark = f"{length:.0f} tokens a passage"
    return Rate("encoder", len(texts) / seconds, "passages", expected, machine.memory(), remark)


async def rerank(folder: Path, shape: Shape, machine: Machine, rounds: int) -> Rate:
    reranker = CrossEncoderReranker(str(make_reranker(folder / "reranker", shape)), device=machine.device)
    query = Query("When was the bridge opened?", _EN)
    hits = [Hit(Passage(str(n), paragraph("en", 60, seed=n), _EN), 0.0) for n in range(shape.passages // 4)]
    seconds = await median_seconds(lambda: reranker.rerank(query, hits), rounds)
    expected = machine.expected(operations(256, *shape.encoder))
    return Rate("reranker", len(hits) / seconds, "passages", expected, machine.memory(), "256 tokens, float32 weights")


async def translate(folder: Path, shape: Shape, machine: Machine, rounds: int, beam: int) -> Rate:
    path = folder / "nllb"
    translator = NllbTranslator(
        str(path if path.is_dir() else make_nllb(path, shape)), device=machine.device, beam_size=beam
    )
    texts = [paragraph("en", 5, seed=n) for n in range(shape.translations)]
    seconds = await median_seconds(lambda: translator.translate(texts, [_EN] * len(texts), _KO), rounds)
    remark = "random weights do not end a sentence: each is written to the length limit"
    return Rate(f"NLLB, CTranslate2, beam {beam}", len(texts) / seconds, "passages", None, machine.memory(), remark)


async def generate(folder: Path, shape: Shape, machine: Machine, rounds: int) -> Rate:
    dtype: Literal["float16", "float32"] = "float16" if machine.is_gpu else "float32"
    path = make_generator(folder / "generator", shape)
    generator = TransformersGenerator(str(path), device=machine.device, dtype=dtype, context=4096)
    decoding = Decoding(max_tokens=shape.answer_tokens)
    trace = Trace()

    async def complete(n: int) -> None:
        await generator.complete([{"role": "user", "content": paragraph("en", 20, seed=n)}], decoding)

    async def work() -> None:
        await gather_or_cancel(complete(n) for n in range(shape.prompts))

    with trace.stage("generate"):
        seconds = await median_seconds(work, rounds)
    tokens = trace.counts["generate.completion_tokens"] / (rounds + 1)
    prompt = trace.counts["generate.prompt_tokens"] / (rounds + 1) / shape.prompts
    remark = f"{shape.prompts} prompts of {prompt:.0f} tokens, 16 in a batch"
    return Rate("generator, transformers", tokens / seconds, "tokens", None, machine.memory(), remark)


async def measure(shape: Shape, machine: Machine, rounds: int) -> list[Rate]:
    steps: list[Callable[[Path], Awaitable[Rate]]] = [
        lambda folder: encode(folder, shape, machine, rounds),
        lambda folder: rerank(folder, shape, machine, rounds),
        lambda folder: translate(folder, shape, machine, rounds, 1),
        lambda folder: translate(folder, shape, machine, rounds, 4),
        lambda folder: generate(folder, shape, machine, rounds),
    ]
    rates = []
    with tempfile.TemporaryDirectory() as folder:
        for step in steps:
            machine.begin()
            rates.append(await step(Path(folder)))
    return rates


def main(
    device: str = typer.Option("cuda:0", help="A GPU, or cpu."),
    small: bool = typer.Option(False, "--small", help="Tiny shapes and little work, to test this script."),
    rounds: int = typer.Option(3, help="Runs of each step; the median counts."),
) -> None:
    """Measure each model and print its rate beside the expected one. Exit code 2: there is no such device."""
    if device.startswith("cuda") and not torch.cuda.is_available():
        typer.echo("this machine has no GPU that torch can use; --device cpu --small tests this script", err=True)
        raise typer.Exit(2)
    machine = Machine(device)
    rates = asyncio.run(measure(SMALL if small else REAL, machine, rounds))
    console().print(f"{machine.name}, torch {torch.__version__}{', tiny shapes' if small else ''}", markup=False)
    console().print(
        table("model", "a second", "unit", "arithmetic", "GB in use", "remark", rows=list(map(_row, rates)))
    )


def _row(rate: Rate) -> list[Any]:
    expected, memory = ("–" if value is None else f"{value:.1f}" for value in (rate.arithmetic, rate.memory))
    return [rate.what, f"{rate.rate:.1f}", rate.unit, expected, memory, rate.remark]


if __name__ == "__main__":
    app = typer.Typer(pretty_exceptions_enable=False)
    app.command()(main)
    app()
