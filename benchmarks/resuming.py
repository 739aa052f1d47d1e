"""A suite killed at random and resumed, against one without interruption: `python -m benchmarks.resuming`."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import typer

from benchmarks.suites import prepared
from qttrag.cli.output import console, table
from qttrag.evaluation.runs.answer_files import read
from qttrag.evaluation.runs.figures import as_document
from qttrag.evaluation.runs.folder import open_run
from qttrag.evaluation.runs.scoring import score
from tests import suite

_COST = ("seconds", "cache_hits", "translated", "calls", "prompt_tokens", "completion_tokens")


def _start(path: Path, out: Path) -> subprocess.Popen[bytes]:
    words = [sys.executable, "-m", "qttrag", "eval", "run", str(path), "--out", str(out)]
    return subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def _answers(out: Path) -> int:
    return sum(path.read_bytes().count(b"\n") for path in out.glob("answers/*/*/*.jsonl"))


def _kill_at(process: subprocess.Popen[bytes], out: Path, *, answers: int, after: float) -> bool:
    """Kill the process `after` seconds after it has written `answers` answers; return whether it was still running."""
    while process.poll() is None and _answers(out) < answers:
        time.sleep(0.002)
    time.sleep(after)
    alive = process.poll() is None
    process.kill()
    process.wait()
    return alive


def _figures(out: Path) -> Any:
    run = open_run(out)
    data = as_document(run, score(run)).model_dump(mode="json")
    for cell in data["cells"]:
        for name in _COST:
            cell["figures"].pop(name, None)
    return data


def _repeated(out: Path) -> int:
    counts = [Counter(record.question_id for record in read(path)) for path in out.glob("answers/*/*/*.jsonl")]
    return sum(n - 1 for count in counts for n in count.values())


def main(
    n: int = typer.Option(20, help="Questions in each of two languages; three strategies answer each."),
    kills: int = typer.Option(20, help="How many times the suite is killed."),
    in_flight: int = typer.Option(4, help="Questions in parallel."),
) -> None:
    """Run a suite without interruption and with kill -9 at random moments, and compare all figures but the cost."""
    draw = random.Random(0)
    with prepared() as folder:
        path = suite.write_suite(folder, folder, n=n, in_flight=in_flight)
        total = 2 * n * len(suite.STRATEGIES)
        _start(path, folder / "whole").wait()
        done = kills_at_work = 0
        moments = sorted(draw.sample(range(1, total - 1), kills))
        for moment in moments:
            process = _start(path, folder / "killed")
            kills_at_work += _kill_at(process, folder / "killed", answers=moment, after=draw.random() * 0.05)
            done = _answers(folder / "killed")
        _start(path, folder / "killed").wait()
        same = _figures(folder / "killed") == _figures(folder / "whole")
        rows = [
            ["questions times strategies", str(total)],
            ["kills while it was running", str(kills_at_work)],
            ["answered before the last session", str(done)],
            ["answers recorded twice", str(_repeated(folder / "killed"))],
            ["all figures equal", "yes" if same else "NO"],
        ]
    console().print(table("killed and resumed", "", rows=rows))


if __name__ == "__main__":
    app = typer.Typer(pretty_exceptions_enable=False)
    app.command()(main)
    app()
