"""Costly stages of a question on a CPU, as they were and as they are: `python -m benchmarks.laptop rerank`.

Weights are random in the shapes of real models: what a stage costs does not depend on their values."""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import typer

from benchmarks import cold_question, gguf_formats
from benchmarks.home import home
from qttrag.application.estimate import measure_rates
from qttrag.cli.output import console, table
from qttrag.generators import shared_prefix
from qttrag.generators.beginnings import Beginnings
from qttrag.models.bert import Bert
from qttrag.models.loading import LocatedModel

app = typer.Typer(add_completion=False, no_args_is_help=True)
SIZES = {"minilm": (12, 384), "large": (24, 1024)}  # layers and dimensions of XLM-R rerankers


@app.command()
def rerank(
    size: str = typer.Argument("minilm", help="minilm (118 M with its vocabulary) or large (568 M, 2.3 GB in float32)"),
    passages: int = typer.Option(8, help="In a batch."),
    tokens: int = typer.Option(200, help="Of each question and passage together."),
    rounds: int = 3,
) -> None:
    """Compare a cross-encoder's encoder in torch with CTranslate2 in float32 and int8."""
    with tempfile.TemporaryDirectory() as folder, home(folder):
        model = _xlmr(Path(folder) / "model", *SIZES[size])
        located = LocatedModel(Path(folder) / "model", "random")
        rows = np.random.default_rng(0).integers(5, 250_000, (passages, tokens)).tolist()
        mask = torch.ones(passages, tokens, dtype=torch.long)

        def in_torch() -> Any:
            with torch.inference_mode():
                return model(input_ids=torch.tensor(rows), attention_mask=mask).last_hidden_state.numpy()

        float32, int8 = Bert("reranker", located, "float32"), Bert("reranker", located, "int8")
        calls = {
            "torch float32": in_torch,
            "CTranslate2 float32": lambda: float32.hidden_states(rows),
            "CTranslate2 int8": lambda: int8.hidden_states(rows),
        }
        _report(_in_turn(calls, rounds), per=passages, unit="passages a second")


@app.command()
def verdicts(
    layers: int = 12, hidden: int = 768, instructions: int = 300, texts: int = 150, written: int = 25, rounds: int = 3
) -> None:
    """Compare five prompts of a language model with and without their beginning computed once.

    `instructions`: tokens that the prompts share; `texts`: tokens of their own; `written`: tokens of each reply."""
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=32_000, hidden_size=hidden, intermediate_size=4 * hidden, num_hidden_layers=layers,
        num_attention_heads=hidden // 64, num_key_value_heads=2, eos_token_id=None, pad_token_id=0,
    )  # fmt: skip
    model: Any = LlamaForCausalLM(config).eval()
    draw = np.random.default_rng(0).integers(5, 32_000, (6, instructions + texts)).tolist()
    prompts = [draw[5][:instructions] + draw[n][: texts - 10 * n] for n in range(5)]

    def complete(prefix: shared_prefix.SharedPrefix) -> Any:
        rows, masks = zip(*(prefix.padded(ids, len(prompts[0]), 0) for ids in prompts), strict=True)
        return model.generate(
            input_ids=torch.tensor(rows), attention_mask=torch.tensor(masks), past_key_values=prefix.cache,
            max_new_tokens=written, do_sample=False,
        )[:, len(prompts[0]) :]  # fmt: skip

    with torch.inference_mode():
        calls: dict[str, Callable[[], Any]] = {
            "each prompt on its own": lambda: complete(shared_prefix.SharedPrefix(0, None)),
            "their beginning once": lambda: complete(shared_prefix.of_batch(model, prompts, Beginnings())),
        }
        equal = torch.equal(*(call() for call in calls.values()))
        _report(_in_turn(calls, rounds), per=5, unit="verdicts a second")
    console().print(f"equal replies: {'yes' if equal else 'no'}")


@app.command()
def formats(tokens: int = typer.Option(512, help="To read."), rounds: int = 3) -> None:
    """Compare the formats of a GGUF file's weights on llama.cpp: processor time of one thread to read and to write.

    Needs qttrag[llama-cpp] and the package gguf."""
    rows = [
        [rate.name, f"{rate.read / 1e9:.0f}", f"{rate.write * 1e11:.1f}"]
        for rate in gguf_formats.measure(tokens, rounds)
    ]
    console().print(table("", "read, G operations a second", "write, ms a token and 100 M weights", rows=rows))
    _say_load()


@app.command()
def question(
    parts: list[cold_question.Part] = typer.Argument(None, help="Which; all without one, in 10 GB and many minutes."),  # noqa: B008
    before: bool = typer.Option(True, help="Also as before: 568 M in float32, beam 4, each verdict alone."),
    later: bool = typer.Option(False, help="Also a later question, for which llama.cpp has kept its instructions."),
    layers: int | None = typer.Option(
        None,
        min=1,
        help="Of the language models; fewer than all are measured at two depths, and extended to all.",
    ),
) -> None:
    """Sum one cold question by stage: 20 candidates, three foreign passages of five, models of real sizes.

    The columns laptop-gguf and laptop-fast need qttrag[llama-cpp] and the package gguf."""
    rates = measure_rates()
    stages = []
    chosen = parts or list(cold_question.Part)
    for stage in cold_question.measure(chosen, _xlmr, before=before, later=later, layers=layers):
        typer.echo(f"{stage.stage}, {stage.way}: {stage.seconds:.1f} s, {stage.remark}")
        stages.append(stage)
    ways = [way for way in cold_question.WAYS if any(stage.way == way for stage in stages)]
    console().print(table("seconds", *ways, rows=_by_stage(stages, ways)))
    again = measure_rates()
    for when, measured in [("before", rates), ("after", again)]:
        console().print(
            f"{when}: {measured.operations / 1e9:.0f} G operations a second, {measured.bytes / 1e9:.1f} GB a second"
        )
    _say_load()


def _by_stage(stages: Sequence[cold_question.Stage], ways: Sequence[str]) -> list[list[str]]:
    """Return a row for each stage and one for their sum, which needs all stages."""
    measured = {(stage.stage, stage.way): stage.seconds for stage in stages}
    names = list(dict.fromkeys(stage.stage for stage in stages))
    columns = [
        [measured.get((name, way), measured.get((name, way.removesuffix(cold_question.LATER)))) for name in names]
        for way in ways
    ]
    sums = [None if None in column else sum(filter(None, column)) for column in columns]
    rows = zip([*names, "all"], *([*column, total] for column, total in zip(columns, sums, strict=True)), strict=True)
    return [[name, *map(_seconds, values)] for name, *values in rows]


def _seconds(value: float | None) -> str:
    return "–" if value is None else f"{value:.1f}"


def _xlmr(folder: Path, layers: int, hidden: int) -> Any:
    from transformers import XLMRobertaConfig, XLMRobertaModel

    config = XLMRobertaConfig(
        vocab_size=250_002, hidden_size=hidden, num_hidden_layers=layers, num_attention_heads=hidden // 64,
        intermediate_size=4 * hidden, max_position_embeddings=514, type_vocab_size=1, pad_token_id=1,
    )  # fmt: skip
    torch.manual_seed(0)
    model = XLMRobertaModel(config).eval()
    model.save_pretrained(folder)
    return model


def _in_turn(calls: Mapping[str, Callable[[], Any]], rounds: int) -> dict[str, list[float]]:
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            seconds[name].append(time.perf_counter() - start)
    return seconds


def _report(seconds: Mapping[str, list[float]], *, per: int, unit: str) -> None:
    first = next(iter(seconds.values()))
    rows = [
        [
            name,
            f"{statistics.median(times):.2f}",
            f"{per / statistics.median(times):.2f}",
            f"{statistics.median(a / b for a, b in zip(first, times, strict=True)):.2f}",
        ]
        for name, times in seconds.items()
    ]
    console().print(table("", "seconds", unit, "times the first", rows=rows))
    _say_load()


def _say_load() -> None:
    load = " ".join(f"{value:.1f}" for value in os.getloadavg())
    console().print(f"{torch.get_num_threads()} threads; load of the machine (1, 5, 15 minutes): {load}")


if __name__ == "__main__":
    app()
