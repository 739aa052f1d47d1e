"""What the service costs beside the models, and what it does when asked more than it can answer.

python -m benchmarks.service                  overhead at 1, 64, 256 requests in flight; open streams
python -m benchmarks.service --overload 180   four times the load it can serve, for 180 s
python -m benchmarks.service --batching       questions a second at 1, 8, 64 in flight, the demo's models (`make demo`)
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import multiprocessing
import resource
import statistics
import time
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from multiprocessing.process import BaseProcess
from typing import NamedTuple

import httpx2
import uvicorn
from rich.console import Console
from rich.table import Table

from demo.corpus import questions
from qttrag.application.application import Application
from qttrag.config import deployment as config
from qttrag.config.deployment import Deployment
from qttrag.pipeline.stages import Stages
from qttrag.prompts import Prompts
from qttrag.server import create_app
from qttrag.testing import FakeDetector, FakeGenerator, FakeReranker, FakeRetriever, FakeTagger, FakeTranslator
from qttrag.types import Decoding, Lang, Message, Passage

PORT = 8977
URL = f"http://127.0.0.1:{PORT}"
PASSAGES = [Passage(f"en-{n}", f"Passage number {n} of a made-up collection.", Lang("en"), "T") for n in range(5)]
IN_FLIGHT, SECONDS = 16, 0.2  # of what is asked more than it can serve; the asking takes half a core
QUESTION = "Mikä on sauna?"


class SlowGenerator(FakeGenerator):
    """Answers after `seconds`."""

    seconds: float

    async def generate(self, messages: Sequence[Message], decoding: Decoding):  # type: ignore[no-untyped-def]
        await asyncio.sleep(self.seconds)
        yield "42"


def serve(seconds: float, in_flight: int, queue: int) -> None:
    generator = SlowGenerator()
    generator.seconds = seconds
    limits = {"in_flight": in_flight, "queue": queue}
    deployment = Deployment(retriever={"kind": "fake"}, generator={"kind": "fake"}, server=limits)  # type: ignore[arg-type]
    translator, tagger = FakeTranslator(), FakeTagger()
    for model in (translator, tagger):
        model.seen = deque(maxlen=0)  # type: ignore[assignment]  # else they remember all they are given
    stages = Stages(FakeRetriever(PASSAGES), FakeReranker(), translator, tagger, generator, prompts=Prompts())
    run(Application(deployment, stages, FakeDetector("fi"), None, []))


def serve_demo() -> None:
    run(Application.open(config.load("demo", {"cache": {"enabled": False}, "server": {"in_flight": 64}})))


def run(application: Application) -> None:
    uvicorn.run(create_app(application=application), port=PORT, log_level="critical", backlog=4096)


class Served(NamedTuple):
    status: int
    seconds: float
    retry_after: str | None


async def ask(client: httpx2.AsyncClient, question: str = QUESTION) -> Served:
    started = time.perf_counter()
    try:
        answer = await client.post("/v1/ask", json={"question": question})
    except httpx2.TransportError:
        return Served(0, time.perf_counter() - started, None)  # nobody answered
    return Served(answer.status_code, time.perf_counter() - started, answer.headers.get("retry-after"))


async def closed_loop(
    client: httpx2.AsyncClient, clients: int, asked: Iterable[str], *, within: float = 0.0
) -> tuple[list[Served], float]:
    """Ask from `clients` that each wait for their answer; return what came and the seconds in all.

    They begin one after another `within` so many seconds, so that they do not all ask at the same moment."""
    left = iter(asked)

    async def one(number: int) -> list[Served]:
        await asyncio.sleep(within * number / clients)
        return [await ask(client, question) for question in left]

    started = time.perf_counter()
    found = await asyncio.gather(*map(one, range(clients)))
    return [each for some in found for each in some], time.perf_counter() - started


def quantile(seconds: Sequence[float], share: float) -> float:
    return sorted(seconds)[min(len(seconds) - 1, int(share * len(seconds)))]


async def overhead(console: Console, rounds: int, models: float) -> None:
    """Say how much longer than the models' own seconds an answer takes."""
    title = f"beside models that take {models:g} s, median of {rounds}"
    table = Table("in flight", "p50 ms", "p99 ms", "requests/s", title=title)
    async with client() as http:
        await closed_loop(http, 64, [QUESTION] * 256)
        for clients in (1, 64, 256):
            rows = []
            for _ in range(rounds):
                asked = [QUESTION] * (clients * 8 if models else max(300, clients * 8))
                found, seconds = await closed_loop(http, clients, asked, within=models)
                assert all(each.status == 200 for each in found)
                times = [each.seconds - models for each in found]
                rows.append((1e3 * quantile(times, 0.5), 1e3 * quantile(times, 0.99), len(found) / seconds))
            table.add_row(str(clients), *(f"{statistics.median(column):.1f}" for column in zip(*rows, strict=True)))
    console.print(table)


async def streams(console: Console, count: int) -> None:
    """Open `count` streams at the same time and read them all to their ends."""

    async def one(http: httpx2.AsyncClient) -> str:
        body = {"question": "Mikä on sauna?", "stream": True}
        async with http.stream("POST", "/v1/ask", json=body) as answer:
            return "".join([text async for text in answer.aiter_text()])

    async with client() as http:
        started = time.perf_counter()
        bodies = await asyncio.gather(*(one(http) for _ in range(count)))
    whole = sum("event: end" in body for body in bodies)
    console.print(f"{count} streams at once: {whole} came to their end, in {time.perf_counter() - started:.1f} s")


async def batching(console: Console, rounds: int) -> None:
    """Ask the same questions one, eight and all at a time, in turn."""
    asked = [question.text for question in itertools.islice(questions("test"), 64)]
    rates: dict[int, list[float]] = {1: [], 8: [], 64: []}
    async with client() as http:
        await closed_loop(http, 8, asked[:8])
        for _ in range(rounds):
            for clients, found in rates.items():
                served, seconds = await closed_loop(http, clients, asked)
                assert all(each.status == 200 for each in served)
                found.append(len(served) / seconds)
    table = Table("in flight", "questions/s", "times one", title=f"the demo's models, median of {rounds}")
    for clients, found in rates.items():
        times = statistics.median(each / alone for each, alone in zip(found, rates[1], strict=True))
        table.add_row(str(clients), f"{statistics.median(found):.1f}", f"{times:.1f}")
    console.print(table)


async def overload(console: Console, process: BaseProcess, seconds: float) -> None:
    capacity = IN_FLIGHT / SECONDS
    async with client() as http:
        found, _ = await closed_loop(http, IN_FLIGHT, [QUESTION] * (IN_FLIGHT * 30))
        at_capacity = quantile([each.seconds for each in found], 0.99)
        held, asked, started = [memory(process)], list[asyncio.Task[Served]](), time.perf_counter()
        while (now := time.perf_counter() - started) < seconds:
            while len(asked) < 4 * capacity * now:
                asked.append(asyncio.create_task(ask(http)))
            if now > seconds * len(held) / 6:
                held.append(memory(process))
            await asyncio.sleep(0.002)
        served = await asyncio.gather(*asked)
    admitted = [each.seconds for each in served if each.status == 200]
    told = Counter(each.status for each in served)
    refused = [each for each in served if each.status == 429]
    rate = len(served) / seconds
    told_when = sum(each.retry_after is not None for each in refused)
    slowest = quantile(admitted, 0.99)
    console.print(
        f"asked {rate:.0f} times a second for {seconds:g} s, {rate / capacity:.1f} times what {IN_FLIGHT} at once can "
        f"serve: {dict(told)}; {told_when} of {len(refused)} refusals with Retry-After\n"
        f"p99 of the admitted {slowest:.3f} s, at capacity {at_capacity:.3f} s: {slowest / at_capacity:.1f} times; "
        f"MiB of memory, six times: " + " ".join(f"{each:.0f}" for each in [*held, memory(process)])
    )


def memory(process: BaseProcess) -> float:
    """Return the resident memory of a process in MiB."""
    with open(f"/proc/{process.pid}/statm", encoding="ascii") as stream:  # noqa: PTH123
        return int(stream.read().split()[1]) * resource.getpagesize() / 2**20


def client() -> httpx2.AsyncClient:
    limits = httpx2.Limits(max_connections=None, max_keepalive_connections=None)
    return httpx2.AsyncClient(base_url=URL, limits=limits, timeout=60)


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--streams", type=int, default=300)
    parser.add_argument("--overload", type=float, metavar="SECONDS", help="instead, ask more than can be served")
    parser.add_argument("--batching", action="store_true", help="instead, ask the demo's models")
    given = parser.parse_args()
    console = Console()
    if given.batching:
        async with running(serve_demo):
            await batching(console, given.rounds)
    elif given.overload is not None:
        async with running(serve, SECONDS, IN_FLIGHT, IN_FLIGHT // 2) as process:
            await overload(console, process, given.overload)
    else:
        async with running(serve, 0.0, 256, 1024):
            await overhead(console, given.rounds, 0.0)
            await streams(console, given.streams)
        async with running(serve, 0.5, 256, 1024):
            await overhead(console, given.rounds, 0.5)


@asynccontextmanager
async def running(target: Callable[..., None], *arguments: object) -> AsyncIterator[BaseProcess]:
    """Serve in a process of its own."""
    process = multiprocessing.get_context("spawn").Process(target=target, args=arguments, daemon=True)
    process.start()
    try:
        await up()
        yield process
    finally:
        process.terminate()
        process.join()


async def up() -> None:
    async with client() as http:
        for _ in range(1200):
            try:
                if (await http.get("/readyz")).status_code == 200:
                    return
            except httpx2.TransportError:
                pass
            await asyncio.sleep(0.05)
    raise SystemExit("the service did not come up")


if __name__ == "__main__":
    asyncio.run(main())
