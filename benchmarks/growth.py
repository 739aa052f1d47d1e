"""How seconds grow with questions, passages read and passages searched: `python -m benchmarks.growth measure`.

It measures the demo's models, nothing cached, and writes the rows as JSON; `draw` makes the chart of docs/sizing.md of
them. Searches of millions of vectors are those of `python -m benchmarks.index`, as docs/sizing.md has them."""

from __future__ import annotations

import asyncio
import json
import math
import os
import statistics
import time
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import typer

from demo.corpus import questions
from qttrag.application.application import Application
from qttrag.cli.output import console, table
from qttrag.config import deployment as config
from qttrag.runtime.tasks import gather_or_cancel
from qttrag.types import AskLimits, AskRequest

SEARCHES = {
    "search, candidates from the disk": {1_000_000: 0.0035, 10_000_000: 0.0095, 39_000_000: 0.0276},
    "exact scan": {10_000_000: 0.722, 39_000_000: 3.722},
}
"""Median seconds of a question by passages (docs/sizing.md). The machine was busy when one million were searched, so
the scan of that day is left out."""

QUESTIONS = (1, 2, 4, 8, 16, 32)
READ = (1, 2, 4, 8, 16)

app = typer.Typer(pretty_exceptions_enable=False, no_args_is_help=True, help=__doc__)


class Line(NamedTuple):
    """Seconds by `axis`: questions, passages read or passages searched."""

    axis: str
    label: str
    seconds: Mapping[int, float]

    def slope(self) -> float:
        """Return the exponent of the growth, by least squares of the logarithms; 1: proportional."""
        sizes, times = ([math.log(value) for value in column] for column in zip(*self.seconds.items(), strict=True))
        return statistics.linear_regression(sizes, times).slope


async def measured(rounds: int) -> list[Line]:
    asked = [question.text for question in islice(questions("test"), max(QUESTIONS))]
    async with Application.open(config.load("demo", {"cache": {"enabled": False}})) as application:
        await application.ask(AskRequest(asked[0]))  # loads the models

        async def together(texts: Sequence[str], top_k: int | None) -> None:
            limits = AskLimits(top_k=top_k)
            await gather_or_cancel(application.ask(AskRequest(text, limits=limits)) for text in texts)

        async def median(texts: Sequence[str], top_k: int | None = None) -> float:
            times = []
            for _ in range(rounds):
                start = time.perf_counter()
                await together(texts, top_k)
                times.append(time.perf_counter() - start)
            return statistics.median(times)

        at_once = {n: await median(asked[:n]) for n in QUESTIONS}
        read = {k: await median(asked[:4], k) for k in READ}
    return [
        Line("questions at once", "qtt_rag, demo", at_once),
        Line("passages read", "qtt_rag, demo, four questions", read),
        *(Line("passages searched", label, points) for label, points in SEARCHES.items()),
    ]


@app.command()
def measure(
    rows: Path = typer.Option(Path("docs/growth.json"), help="The file to write."),  # noqa: B008
    rounds: int = typer.Option(3, min=1, help="Runs of each; the median counts."),
) -> None:
    """Measure, print the rows and write them."""
    before = os.getloadavg()[0]
    lines = asyncio.run(measured(rounds))
    cells = [
        [line.axis, line.label, " ".join(f"{n:,}: {value:.3g} s" for n, value in line.seconds.items()),
         f"{line.slope():.2f}"]
        for line in lines
    ]  # fmt: skip
    console().print(table("axis", "what", "seconds", "exponent", rows=cells))
    console().print(f"load of the machine before: {before:.1f}, after: {os.getloadavg()[0]:.1f}")
    rounded = [
        line._asdict() | {"seconds": {n: float(f"{value:.3g}") for n, value in line.seconds.items()}} for line in lines
    ]
    rows.write_text(json.dumps(rounded, indent=1) + "\n", encoding="utf-8")


@app.command()
def draw(
    rows: Path = typer.Option(Path("docs/growth.json"), help="The file that `measure` wrote."),  # noqa: B008
    out: Path = typer.Option(Path("docs/growth.svg"), help="The chart."),  # noqa: B008
) -> None:
    """Draw the rows on logarithmic axes, a panel for each axis."""
    lines = [
        Line(row["axis"], row["label"], {int(n): seconds for n, seconds in row["seconds"].items()})
        for row in json.loads(rows.read_text(encoding="utf-8"))
    ]
    out.write_text(chart(lines), encoding="utf-8")


_SIDE, _LEFT, _TOP, _BETWEEN = 190, 50, 15, 80  # pixels
_COLOURS = ("#35618f", "#d1812c")


def chart(lines: Sequence[Line]) -> str:
    """Return an SVG with one panel for each axis, both axes of which are logarithmic."""
    axes = list(dict.fromkeys(line.axis for line in lines))
    shapes = [
        shape
        for number, axis in enumerate(axes)
        for shape in _panel(axis, [line for line in lines if line.axis == axis], _LEFT + number * (_SIDE + _BETWEEN))
    ]
    width, height = _LEFT + len(axes) * (_SIDE + _BETWEEN), _TOP + _SIDE + 75
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" role="img" '
        'font-family="sans-serif" font-size="11"><rect width="100%" height="100%" fill="white"/>'
        f"{''.join(shapes)}</svg>\n"
    )


def _panel(axis: str, lines: Sequence[Line], left: int) -> Iterable[str]:
    xs = _powers(n for line in lines for n in line.seconds)
    ys = _powers(value for line in lines for value in line.seconds.values())

    def x(value: float) -> float:
        return left + (math.log10(value) - xs[0]) / (xs[-1] - xs[0]) * _SIDE

    def y(value: float) -> float:
        return _TOP + _SIDE - (math.log10(value) - ys[0]) / (ys[-1] - ys[0]) * _SIDE

    for power in xs:
        yield f'<path d="M{x(10**power):.1f} {_TOP}v{_SIDE}" stroke="#ddd"/>'
        yield _text(
            x(10**power), _TOP + _SIDE + 15, f"{10**power:,}" if power < 6 else f"{10 ** (power - 6)} M", "middle"
        )
    for power in ys:
        yield f'<path d="M{left} {y(10**power):.1f}h{_SIDE}" stroke="#ddd"/>'
        yield _text(left - 5, y(10**power) + 4, f"{10.0**power:g} s", "end")
    yield _text(left + _SIDE / 2, _TOP + _SIDE + 32, axis, "middle")
    for number, line in enumerate(lines):
        colour = _COLOURS[number % len(_COLOURS)]
        points = [(x(n), y(value)) for n, value in sorted(line.seconds.items())]
        path = " ".join(f"{a:.1f},{b:.1f}" for a, b in points)
        yield f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>'
        yield from (f'<circle cx="{a:.1f}" cy="{b:.1f}" r="3" fill="{colour}"/>' for a, b in points)
        label = f"{line.label}: n^{line.slope():.2f}"
        yield _text(left, _TOP + _SIDE + 50 + 15 * number, label, "start", colour)


def _powers(values: Iterable[float]) -> list[int]:
    """Return the powers of ten from the one below all values to the one above."""
    logarithms = [math.log10(value) for value in values]
    low, high = math.floor(min(logarithms)), math.ceil(max(logarithms))
    return list(range(low, max(high, low + 1) + 1))


def _text(x: float, y: float, text: str, anchor: str, colour: str = "#333") -> str:
    return f'<text x="{x:.0f}" y="{y:.0f}" text-anchor="{anchor}" fill="{colour}">{escape(text)}</text>'


if __name__ == "__main__":
    app()
