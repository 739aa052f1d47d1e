"""Compare concurrent questions with sequential ones, on tiny models: `python -m benchmarks.batching`."""

from __future__ import annotations

import asyncio
import statistics
import time
from pathlib import Path

import typer

from benchmarks.suites import prepared
from qttrag.application.application import Application
from qttrag.cli.output import console, table
from qttrag.types import AskRequest
from tests import deployment
from tests.texts import LANGS, sentences


async def _time_sequential(application: Application, questions: list[str], strategy: str) -> float:
    start = time.perf_counter()
    for question in questions:
        await application.ask(AskRequest(question, strategy=strategy))
    return time.perf_counter() - start


async def _time_concurrent(application: Application, questions: list[str], strategy: str) -> float:
    start = time.perf_counter()
    await asyncio.gather(*(application.ask(AskRequest(question, strategy=strategy)) for question in questions))
    return time.perf_counter() - start


async def _measure(path: Path, strategies: list[str], n: int, rounds: int) -> list[list[str]]:
    questions = [text for lang in LANGS for text in sentences(lang, n // len(LANGS), seed=9)]
    rows = []
    async with Application.open(path) as application:
        await application.start()
        for strategy in strategies:
            await application.ask(AskRequest(questions[0], strategy=strategy))
            runs = [
                (await _time_sequential(application, questions, strategy),
                 await _time_concurrent(application, questions, strategy))
                for _ in range(rounds)
            ]  # fmt: skip
            sequential, concurrent = (statistics.median(times) for times in zip(*runs, strict=True))
            ratio = statistics.median(one / other for one, other in runs)
            rows.append([strategy, f"{sequential:.2f}", f"{concurrent:.2f}", f"{ratio:.1f}"])
    return rows


def main(
    n: int = typer.Option(64, help="Questions."),
    rounds: int = typer.Option(3, help="Runs of both ways, alternating."),
    strategies: list[str] = typer.Option(["base", "qtt_rag"], "--strategy", help="Repeatable."),  # noqa: B008
) -> None:
    """Ask N questions both ways, without a cache, and print the times and their ratio."""
    with prepared() as folder:
        path = deployment.write_deployment(folder, folder, cache={"enabled": False})
        rows = asyncio.run(_measure(path, strategies, n, rounds))
    console().print(table("strategy", "sequential, s", "concurrent, s", "times faster", rows=rows))


if __name__ == "__main__":
    app = typer.Typer(pretty_exceptions_enable=False)
    app.command()(main)
    app()
