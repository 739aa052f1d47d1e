"""What a service does when it is asked 1, 2 and 4 times what it can answer, with a client that is not the bottleneck.

python -m benchmarks.overload [--seconds 20]        needs wrk (Debian's package of that name)

wrk makes the load and counts the answers; ten questions a second from here measure how long answers and refusals take.
The service runs over models that take 0.2 s, 16 questions at a time: it can answer 80 a second. Goals: at 4x at least
90 % of the answers at 1x, their p99 at most twice that at 1x, refusals within 50 ms. Other work on the machine spoils
them all: the title of the table has the load average from before."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
from pathlib import Path
from typing import NamedTuple

from rich.console import Console
from rich.table import Table

from benchmarks.service import IN_FLIGHT, SECONDS, URL, Served, ask, client, quantile, running, serve

_SCRIPT = Path(__file__).with_suffix(".lua")
_PAUSE_MS = 1000  # mean between two requests of a connection: as many requests a second as there are connections
_PROBES = 10  # a second
_CAPACITY = IN_FLIGHT / SECONDS


class Load(NamedTuple):
    """What wrk counted, per second, and the seconds of the probes."""

    answered: float
    refused: float
    other: float
    answers: list[float]
    refusals: list[float]


async def measure(factor: int, seconds: float) -> Load:
    """Ask `factor` times what the service can answer."""
    connections = int(factor * _CAPACITY) - _PROBES
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds:g}s", "--timeout", "10s", "-s", str(_SCRIPT)]
    process = await asyncio.create_subprocess_exec(
        *command, f"{URL}/v1/ask", "--", str(_PAUSE_MS), stdout=asyncio.subprocess.PIPE
    )
    probes = await _probe(seconds - 1)
    output, _ = await process.communicate()
    counted = json.loads(next(line for line in output.decode().splitlines() if line.startswith("{")))
    rates = [counted[name] / counted["seconds"] for name in ("answered", "refused", "other")]
    times = [[probe.seconds for probe in probes if probe.status == status] for status in (200, 429)]
    return Load(rates[0], rates[1], rates[2], *times)


async def _probe(seconds: float) -> list[Served]:
    async with client() as http:
        asked = []
        for _ in range(int(seconds * _PROBES)):
            asked.append(asyncio.create_task(ask(http)))
            await asyncio.sleep(1 / _PROBES)
        return await asyncio.gather(*asked)


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=20)
    given = parser.parse_args()
    busy = os.getloadavg()[0]
    async with running(serve, SECONDS, IN_FLIGHT, IN_FLIGHT // 2):
        loads = {factor: await measure(factor, given.seconds) for factor in (1, 2, 4)}
    title = f"{_CAPACITY:.0f} questions/s can be answered; load average before: {busy:.1f}"
    columns = ("asked", "answered/s", "refused/s", "failed/s", "of 1x", "answers p99 ms", "of 1x", "refusals p99 ms")
    table = Table(*columns, title=title)
    for factor, load in loads.items():
        table.add_row(f"{factor}x", *_cells(load, loads[1]))
    Console().print(table)


def _cells(load: Load, first: Load) -> list[str]:
    rates = [f"{rate:.1f}" for rate in (load.answered, load.refused, load.other)]
    answers, at_first, refusals = (_p99_ms(times) for times in (load.answers, first.answers, load.refusals))
    times = f"{answers / at_first:.1f}" if answers and at_first else "–"
    share = f"{load.answered / first.answered:.0%}" if first.answered else "–"
    return [*rates, share, f"{answers:.0f}" if answers else "–", times, f"{refusals:.0f}" if refusals else "–"]


def _p99_ms(seconds: list[float]) -> float | None:
    return 1e3 * quantile(seconds, 0.99) if seconds else None


if __name__ == "__main__":
    asyncio.run(main())
