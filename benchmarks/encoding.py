"""Compares the encoding speed of a build with that of the model alone: `python -m benchmarks.encoding`."""

from __future__ import annotations

import json
import os
import random
import resource
import statistics
import tempfile
import time
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import typer
from numpy.typing import NDArray

from qttrag.cli.output import console, table
from qttrag.encoders.sentence_transformers import SentenceTransformersKind
from qttrag.indexes.jobs.encoding import encode_source, windows
from qttrag.indexes.jobs.index_job import IndexJob
from qttrag.indexes.jobs.workers import EncoderPool
from qttrag.indexes.recipe import Recipe
from qttrag.indexes.sources import listing
from qttrag.indexes.sources.records import SourceReader
from qttrag.indexes.storage.workspace import BuildWorkspace
from qttrag.models.loading import quiet
from qttrag.protocols import PassageEncoder
from qttrag.types import Prepared
from tests import tiny_models
from tests.texts import LANGS, sentences

SIZES = {"tiny": (64, 2), "small": (384, 12), "base": (768, 12), "bge-m3": (1024, 24)}  # hidden size, layers


class Dtype(StrEnum):
    """auto: float32 on CTranslate2; float32: in torch; int8: on CTranslate2."""

    AUTO = "auto"
    FLOAT32 = "float32"
    INT8 = "int8"


class Arms(NamedTuple):
    """Four ways to encode the same passages; a call returns the seconds it took.

    `packaged`: sentence-transformers' `encode`, which tokenises and sorts by length too, but reads and writes
    nothing."""

    pipeline: Callable[[], float]
    model_alone: Callable[[], float]
    unsorted: Callable[[], float]
    packaged: Callable[[], float]


class Seconds(NamedTuple):
    """The seconds of each way."""

    pipeline: float
    model_alone: float
    unsorted: float
    packaged: float


class Timed:
    """An encoder that measures how long it is busy."""

    def __init__(self, encoder: PassageEncoder) -> None:
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
    """Write articles of lengths as in a Wikipedia: many short and few long ones; about half the passages are full."""
    draw = random.Random(7)
    pool = [sentence for lang in LANGS if lang != "zh" for sentence in sentences(lang, 400, seed=1)]
    left, number = passages, 0
    with path.open("w", encoding="utf-8") as file:
        while left > 0:
            words: list[str] = []
            length = min(max(5, int(draw.lognormvariate(4.6, 1.0))), 100 * left)
            while len(words) < length:
                words += draw.choice(pool).split()
            words = words[:length]
            file.write(json.dumps({"id": str(number), "text": " ".join(words)}, ensure_ascii=False) + "\n")
            left, number = left - -(-len(words) // 100), number + 1


class Opened(NamedTuple):
    """`busy`: per run of the pipeline, the share of time in which the encoder was busy; `lengths`: of the passages in
    tokens; `batch_size`: passages per unsorted batch."""

    arms: Arms
    busy: list[float]
    lengths: list[int]
    batch_size: int


def open_arms(folder: Path, passages: int, size: str, batch_tokens: int, dtype: Dtype) -> Opened:
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
    kind = SentenceTransformersKind(str(folder / "encoder"), device="cpu", dtype=dtype.value)
    (encoder,) = kind.load_for_passages()
    with EncoderPool([encoder]) as pool:
        all_windows = list(windows(recipe, pool, SourceReader(recipe, files, on_error="stop")))
    sorted_batches = [batch.prepared for window in all_windows for batch in window.batches]
    texts = [passage.content for window in all_windows for passage in window.passages]
    lengths = [len(text.ids) for text in encoder.tokenise(texts)]
    batch_size = max(1, round(len(texts) / len(sorted_batches)))
    busy: list[float] = []
    unsorted_batches = [
        encoder.prepare(encoder.tokenise(texts[n : n + batch_size])) for n in range(0, len(texts), batch_size)
    ]

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

    arms = Arms(
        pipeline,
        lambda: loop(sorted_batches),
        lambda: loop(unsorted_batches),
        packaged(folder / "encoder", texts, batch_size),
    )
    return Opened(arms, busy, lengths, batch_size)


def packaged(model: Path, texts: list[str], batch_size: int) -> Callable[[], float]:
    from sentence_transformers import SentenceTransformer

    encoder: Any = SentenceTransformer(str(model), device="cpu")
    encoder.max_seq_length = 256

    def encode() -> float:
        start = time.perf_counter()
        encoder.encode(texts, batch_size=batch_size, show_progress_bar=False)
        return time.perf_counter() - start

    return encode


def main(
    passages: int = typer.Option(
        20_000, help="About how many; with fewer than some windows of 4,096 little runs in parallel."
    ),
    size: str = typer.Option("tiny", help=f"The size of the encoder, with random weights: {', '.join(SIZES)}."),
    batch_tokens: int = typer.Option(16_384, help="Tokens per batch, as in a recipe."),
    dtype: Dtype = typer.Option(Dtype.FLOAT32, help="Of the encoder; sentence-transformers has float32."),  # noqa: B008
    rounds: int = typer.Option(3, help="The number of runs of each way, in turn."),
) -> None:
    """Encode the same passages by the build's pipeline, by a loop over the same prepared batches, by a loop over
    unsorted batches of the same number of passages, and by sentence-transformers' own `encode`. Print passages per
    second, the median ratios, and the share of the pipeline's time in which the encoder was busy, which is more
    reliable on a machine with other load."""
    with tempfile.TemporaryDirectory() as name:
        os.environ |= {"QTTRAG_HOME": name, "HF_HUB_OFFLINE": "1"}
        quiet()
        arms, busy, lengths, batch_size = open_arms(Path(name), passages, size, batch_tokens, dtype)
        n = len(lengths)
        arms.model_alone()
        arms.packaged()
        runs = [Seconds(*(arm() for arm in arms)) for _ in range(rounds)]
    median = Seconds(*map(statistics.median, zip(*runs, strict=True)))
    ratio = statistics.median(run.model_alone / run.pipeline for run in runs)
    gain = statistics.median(run.unsorted / run.pipeline for run in runs)
    other = statistics.median(run.packaged / run.pipeline for run in runs)
    rows = [
        ["build's pipeline", f"{n / median.pipeline:,.1f}", f"encoder busy {100 * statistics.median(busy):.1f} %"],
        ["model alone, same batches", f"{n / median.model_alone:,.1f}", f"pipeline {100 * ratio:.1f} % of it"],
        [
            f"model alone, {batch_size} per batch, unsorted",
            f"{n / median.unsorted:,.1f}",
            f"pipeline {gain:.2f} times it",
        ],
        ["sentence-transformers, encode", f"{n / median.packaged:,.1f}", f"pipeline {other:.2f} times it"],
    ]
    console().print(table("way", "passages per second", "", rows=rows))
    spread = f"{np.mean(lengths):.0f} tokens, standard deviation {np.std(lengths):.0f}"
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    console().print(
        f"{n} passages, {spread}, {rounds} rounds; peak memory {peak:.1f} GB, including both loops' batches"
    )


if __name__ == "__main__":
    app = typer.Typer(pretty_exceptions_enable=False)
    app.command()(main)
    app()
