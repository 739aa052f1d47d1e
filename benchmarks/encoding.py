"""How fast passages are encoded while an index is built, beside the bare model: `python -m benchmarks.encoding`."""

from __future__ import annotations

import json
import os
import random
import resource
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import typer
from numpy.typing import NDArray

from qttrag.cli.output import console, table
from qttrag.encoders.sentence_transformers import SentenceTransformersEncoder
from qttrag.indexes.jobs.encoding import encode_source, windows
from qttrag.indexes.jobs.index_job import IndexJob
from qttrag.indexes.jobs.workers import EncoderPool
from qttrag.indexes.recipe import Recipe
from qttrag.indexes.sources import listing
from qttrag.indexes.sources.records import SourceReader
from qttrag.indexes.storage.workspace import BuildWorkspace
from qttrag.models.loading import quiet
from qttrag.types import Prepared
from tests import tiny_models
from tests.texts import LANGS, sentences

SIZES = {"tiny": (64, 2), "small": (384, 12), "base": (768, 12), "bge-m3": (1024, 24)}  # hidden size, layers


class Arms(NamedTuple):
    """The same passages, encoded in three ways: each returns the seconds it took."""

    pipeline: Callable[[], float]
    ready: Callable[[], float]
    unsorted: Callable[[], float]


class Run(NamedTuple):
    """The seconds that each took."""

    pipeline: float
    ready: float
    unsorted: float


class Timed:
    """An encoder that notes how long it is at work."""

    def __init__(self, encoder: SentenceTransformersEncoder) -> None:
        self.info = encoder.info
        self.tokenise, self.prepare = encoder.tokenise, encoder.prepare
        self.seconds = 0.0
        self._encoder = encoder

    def encode_prepared(self, prepared: Prepared) -> NDArray[np.float32]:
        start = time.perf_counter()
        vectors = self._encoder.encode_prepared(prepared)
        self.seconds += time.perf_counter() - start
        return vectors


def write_source(path: Path, passages: int) -> None:
    """Write articles as a Wikipedia has them: many short ones, few long, so that about half the passages are whole."""
    draw = random.Random(7)
    pool = [sentence for lang in LANGS if lang != "zh" for sentence in sentences(lang, 400, seed=1)]
    left, number = passages, 0
    with path.open("w", encoding="utf-8") as file:
        while left > 0:
            words: list[str] = []
            wanted = min(max(5, int(draw.lognormvariate(4.6, 1.0))), 100 * left)
            while len(words) < wanted:
                words += draw.choice(pool).split()
            words = words[:wanted]
            file.write(json.dumps({"id": str(number), "text": " ".join(words)}, ensure_ascii=False) + "\n")
            left, number = left - -(-len(words) // 100), number + 1


class Opened(NamedTuple):
    """`busy`: for each run of the pipeline, the share of its time in which the encoder was at work; `lengths` of the
    passages in tokens; `each`: passages of an unsorted batch."""

    arms: Arms
    busy: list[float]
    lengths: list[int]
    each: int


def open_arms(folder: Path, passages: int, size: str, batch_tokens: int) -> Opened:
    hidden, layers = SIZES[size]
    tiny_models.make_encoder(folder / "encoder", hidden=hidden, layers=layers)
    write_source(folder / "source.jsonl", passages)
    recipe = Recipe.model_validate(
        {
            "name": "measured",
            "source": {"kind": "jsonl", "path": [str(folder / "source.jsonl")]},
            "lang": "en",
            "encoder": {"model": str(folder / "encoder"), "device": "cpu", "batch_tokens": batch_tokens},
        }
    )
    files = listing.files(recipe)
    encoder = SentenceTransformersEncoder(str(folder / "encoder"), revision=None, device="cpu", max_tokens=256)
    with EncoderPool([encoder]) as pool:
        all_windows = list(windows(recipe, pool, SourceReader(recipe, files, on_error="stop")))
    sorted_batches = [batch.prepared for window in all_windows for batch in window.batches]
    texts = [passage.content for window in all_windows for passage in window.passages]
    lengths = encoder.lengths(texts)
    each = max(1, round(len(texts) / len(sorted_batches)))
    busy: list[float] = []
    unsorted_batches = [encoder.prepare(encoder.tokenise(texts[n : n + each])) for n in range(0, len(texts), each)]

    def pipeline() -> float:
        workspace = BuildWorkspace(folder / f"built{time.monotonic_ns()}")
        job = IndexJob(recipe, workspace, workspace.begin({}))
        timed = Timed(encoder)
        with EncoderPool([timed]) as pool:
            start = time.perf_counter()
            encode_source(job, pool, files, on_error="stop")
            seconds = time.perf_counter() - start
        assert job.journal.rows == len(texts)
        workspace.remove()
        busy.append(timed.seconds / seconds)
        return seconds

    def loop(batches: list[Prepared]) -> float:
        start = time.perf_counter()
        for batch in batches:
            encoder.encode_prepared(batch)
        return time.perf_counter() - start

    arms = Arms(pipeline, lambda: loop(sorted_batches), lambda: loop(unsorted_batches))
    return Opened(arms, busy, lengths, each)


def main(
    passages: int = typer.Option(20_000, help="About how many; of fewer than some windows of 4,096 little overlaps."),
    size: str = typer.Option("tiny", help=f"The encoder's, of random weights: {', '.join(SIZES)}."),
    batch_tokens: int = typer.Option(16_384, help="Tokens in a batch, as in a recipe."),
    rounds: int = typer.Option(3, help="How often all ways are run, in turn."),
) -> None:
    """Encode the same passages by the build's pipeline, by a loop that only calls the model on the same batches made
    beforehand, and by such a loop on batches of as many passages as they come, unsorted. Print passages a second, the
    medians of the ratios, and for how much of the pipeline's time the encoder was at work, which on a machine that
    is busy otherwise says more."""
    with tempfile.TemporaryDirectory() as name:
        os.environ |= {"QTTRAG_HOME": name, "HF_HUB_OFFLINE": "1"}
        quiet()
        arms, busy, lengths, each = open_arms(Path(name), passages, size, batch_tokens)
        n = len(lengths)
        arms.ready()
        runs = [Run(*(arm() for arm in arms)) for _ in range(rounds)]
    median = Run(*map(statistics.median, zip(*runs, strict=True)))
    ratio = statistics.median(run.ready / run.pipeline for run in runs)
    gain = statistics.median(run.unsorted / run.pipeline for run in runs)
    rows = [
        ["build's pipeline", f"{n / median.pipeline:,.1f}", f"encoder at work {100 * statistics.median(busy):.1f} %"],
        ["model alone, same batches", f"{n / median.ready:,.1f}", f"pipeline {100 * ratio:.1f} % of it"],
        [f"model alone, {each} a batch, unsorted", f"{n / median.unsorted:,.1f}", f"pipeline {gain:.2f} times it"],
    ]
    console().print(table("way", "passages a second", "", rows=rows))
    spread = f"{np.mean(lengths):.0f} tokens, standard deviation {np.std(lengths):.0f}"
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    console().print(f"{n} passages, {spread}, {rounds} rounds; peak memory {peak:.1f} GB, both loops' batches included")


if __name__ == "__main__":
    app = typer.Typer(pretty_exceptions_enable=False)
    app.command()(main)
    app()
