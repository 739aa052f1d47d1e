"""The work that strategies and generators of a run share: `python -m benchmarks.sharing`."""

from __future__ import annotations

import asyncio
from collections import Counter

import typer

from benchmarks.suites import prepared
from qttrag.cli.output import console, table
from qttrag.evaluation import suites
from qttrag.evaluation.runs import runner
from qttrag.evaluation.runs.answer_files import latest
from tests import suite
from tests.openai_client.server import Server, text_reply

_COUNTED = {
    "searches": ("retrieve.computed",),
    "rerankings": ("rerank.computed",),
    "passages translated": ("translate.computed",),
    "translations scored": ("tag.computed",),
    "cache hits": ("retrieve.cached", "rerank.cached", "translate.cached", "tag.cached"),
}


def main(n: int = typer.Option(250, help="Questions in each of two languages.")) -> None:
    """Run three strategies with two generators and print the calls of each stage, in the order of execution.

    Both generators are one scripted server under two names; all other models are tiny ones in this process."""
    with prepared() as folder, Server(text_reply("1848")) as server:
        served = {"kind": "openai", "base_url": server.base_url, "context": 8192}
        local = {"kind": "transformers", "model": str(folder / "llama"), "device": "cpu"}
        path = suite.write_suite(
            folder,
            folder,
            n=n,
            strategies={"cross_rag": {}, "qtt_rag": {}, "hard_filter": {}},
            generators={name: {**served, "model": name} for name in ("first", "second")},
            set={"tagger": {"kind": "llm", "generator": local}},
        )
        outcome = asyncio.run(runner.run(suites.load(str(path)), folder / "out"))
        by_strategy: dict[tuple[str, str], Counter[str]] = {}
        for cell in sorted(outcome.run.cells(), key=lambda cell: cell.generator):
            counts = by_strategy.setdefault((cell.generator, cell.strategy), Counter())
            for record in latest(cell.file(outcome.run.folder)).values():
                counts.update(record.counts)
        rows = [
            [*names, *(str(sum(counts[name] for name in counted)) for counted in _COUNTED.values())]
            for names, counts in by_strategy.items()
        ]
    console().print(table("generator", "strategy", *_COUNTED, rows=rows))


if __name__ == "__main__":
    app = typer.Typer(pretty_exceptions_enable=False)
    app.command()(main)
    app()
