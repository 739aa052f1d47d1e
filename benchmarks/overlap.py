"""Compares scoring each passage right after its translation with scoring after all: `python -m benchmarks.overlap`."""

from __future__ import annotations

import asyncio
import statistics
import time
from dataclasses import replace
from pathlib import Path

import typer

from benchmarks.suites import prepared
from qttrag.application.application import Application
from qttrag.cli.output import console, table
from qttrag.trace import Trace
from qttrag.types import Query
from tests import deployment
from tests.texts import sentences


async def _measure(path: Path, n: int) -> tuple[float, float, float]:
    """Return the median seconds of both ways for single questions, and the median of their ratio."""
    pairs = []
    async with Application.open(path) as application:
        await application.start()
        for text in sentences("ko", n, seed=9):
            stages = replace(application.stages, trace=Trace())
            query = Query(text, await application.language_of(text, "ko"))
            passages = await stages.search(query)
            start = time.perf_counter()
            await stages.tag(await stages.translate(passages, query.lang), query.lang)
            between = time.perf_counter()
            await stages.translate_and_tag(passages, query.lang)
            pairs.append((between - start, time.perf_counter() - between))
    sequential, overlapped = (statistics.median(seconds) for seconds in zip(*pairs, strict=True))
    return sequential, overlapped, statistics.median(one / other for one, other in pairs)


def main(n: int = typer.Option(40, help="Questions, asked one at a time.")) -> None:
    """Translate and score the passages of N questions both ways in turn, without a cache, with models in process."""
    with prepared() as folder:
        path = deployment.write_deployment(folder, folder, cache={"enabled": False})
        sequential, overlapped, ratio = asyncio.run(_measure(path, n))
    rows = [[f"{sequential:.3f}", f"{overlapped:.3f}", f"{ratio:.2f}"]]
    console().print(table("sequential, s", "overlapped, s", "times faster", rows=rows))


if __name__ == "__main__":
    app = typer.Typer(pretty_exceptions_enable=False)
    app.command()(main)
    app()
