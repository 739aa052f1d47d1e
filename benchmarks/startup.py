"""Time `import qttrag` and `qttrag --help`, with and without Python itself: `python -m benchmarks.startup`."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

import typer

from qttrag.cli.output import console, table

COMMANDS = {
    "python -c pass": ["-c", "pass"],
    "import qttrag": ["-c", "import qttrag"],
    "qttrag --help": ["-m", "qttrag", "--help"],
    "qttrag ask --help": ["-m", "qttrag", "ask", "--help"],
}


def main(rounds: int = typer.Option(15, help="Runs of each command, alternating.")) -> None:
    """Time the commands, alternating, and print the medians."""
    seconds: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(rounds):
        for name, arguments in COMMANDS.items():
            start = time.perf_counter()
            subprocess.run([sys.executable, *arguments], check=True, capture_output=True)
            seconds[name].append(time.perf_counter() - start)
    python = statistics.median(seconds["python -c pass"])
    rows = [
        [name, f"{statistics.median(times):.3f}", f"{statistics.median(times) - python:+.3f}"]
        for name, times in seconds.items()
    ]
    console().print(table("command", "seconds", "over Python", rows=rows))


if __name__ == "__main__":
    typer.run(main)
