"""Compare threads that sleep while they wait with threads that spin: `python -m benchmarks.waiting`.

A language model of random weights in the size of SmolLM2-135M completes a prompt in float32 on all cores."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import typer

from qttrag.cli.output import console, table

_PROMPT, _COMPLETION = 300, 12  # tokens


def complete() -> None:
    """Print the seconds of one completion; the model and its first call are not counted."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=49_152, hidden_size=576, intermediate_size=1536, num_hidden_layers=30,
        num_attention_heads=9, num_key_value_heads=3, tie_word_embeddings=True,
    )  # fmt: skip
    model: Any = LlamaForCausalLM(config).eval()
    ids = torch.randint(100, 49_000, (1, _PROMPT))
    for tokens in (1, _COMPLETION):
        start = time.perf_counter()
        model.generate(
            input_ids=ids, attention_mask=torch.ones_like(ids), min_new_tokens=tokens, max_new_tokens=tokens,
            do_sample=False,
        )  # fmt: skip
    print(time.perf_counter() - start)


@contextmanager
def _busy(processes: int) -> Iterator[None]:
    """Run processes that use a core each while the block runs."""
    running = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(processes)]
    try:
        yield
    finally:
        for process in running:
            process.kill()
            process.wait()


def _seconds(policy: str | None) -> float:
    """Return the seconds of a completion in a process of its own. `policy`: None for the libraries' own."""
    command = [sys.executable, "-c", "from benchmarks.waiting import complete; complete()"]
    environment = {**os.environ, "OMP_NUM_THREADS": str(os.cpu_count())}
    environment.pop("OMP_WAIT_POLICY", None)
    if policy is not None:
        environment["OMP_WAIT_POLICY"] = policy
    return float(subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout)


def main(rounds: int = typer.Option(3, help="Runs of both, alternating.")) -> None:
    """Print seconds and their ratio beside 0, 1 and 2 busy processes, and the machine's load before each."""
    rows = []
    for processes in (0, 1, 2):
        load = os.getloadavg()[0]
        with _busy(processes):
            runs = [(_seconds(None), _seconds("PASSIVE")) for _ in range(rounds)]
        spinning, sleeping = (statistics.median(seconds) for seconds in zip(*runs, strict=True))
        ratio = statistics.median(one / other for one, other in runs)
        rows.append([str(processes), f"{load:.1f}", f"{spinning:.2f}", f"{sleeping:.2f}", f"{ratio:.1f}"])
    console().print(table("busy processes", "load", "spinning, s", "sleeping, s", "times faster", rows=rows))


if __name__ == "__main__":
    typer.run(main)
