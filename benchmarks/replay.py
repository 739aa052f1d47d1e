"""How busy the devices of an evaluation are, by replaying the seconds of its stages: `python -m benchmarks.replay`.

Without a file, the seconds of a question are those of `benchmarks.reproduction` (arithmetic for a card). With one, a
JSONL file of answers under a run's `answers/`, they are the recorded ones, which are right if the run answered one
question at a time: else they include waiting. Nothing runs; time is simulated."""

from __future__ import annotations

import heapq
import json
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import typer

from benchmarks.reproduction import CARDS, DEPTH, ENCODER, GENERATORS, READ, TAGGER, Plan
from qttrag.cli.output import console, table

DEVICES = {
    "detect": "processor",
    "retrieve": "processor",
    "rerank": "first card",
    "translate": "first card",
    "tag": "tagger's server",
    "answer": "generator's server",
}
"""Where a stage runs: models in this process take turns on one card, each server has a card of its own."""


class Stage(NamedTuple):
    """A stage of one question. A batch takes the longest `shared` seconds, and the `own` ones of all its questions."""

    name: str
    shared: float
    own: float


class Replay(NamedTuple):
    """Seconds in all, and seconds of work by device."""

    seconds: float
    busy: Mapping[str, float]


def replay(asked: Sequence[Sequence[Stage]], in_flight: int, batch: int) -> Replay:
    """Return what the questions take with so many in flight; a device does one batch of one stage at a time."""
    waiting: dict[str, deque[tuple[int, int]]] = {device: deque() for device in DEVICES.values()}
    busy = dict.fromkeys(waiting, 0.0)
    working: set[str] = set()
    events: list[tuple[float, int, str, list[tuple[int, int]]]] = []  # ends of batches
    left, now, number = deque(range(len(asked))), 0.0, 0

    def arrive(question: int, stage: int) -> None:
        if stage < len(asked[question]):
            waiting[DEVICES[asked[question][stage].name]].append((question, stage))
        elif left:
            arrive(left.popleft(), 0)

    for _ in range(min(in_flight, len(asked))):
        arrive(left.popleft(), 0)
    while True:
        for device, queue in waiting.items():
            if queue and device not in working:
                taken = _batch(queue, asked, batch)
                stages = [asked[question][stage] for question, stage in taken]
                seconds = max(stage.shared for stage in stages) + sum(stage.own for stage in stages)
                busy[device] += seconds
                working.add(device)
                heapq.heappush(events, (now + seconds, number, device, taken))
                number += 1
        if not events:
            return Replay(now, busy)
        now, _, device, done = heapq.heappop(events)
        working.remove(device)
        for question, stage in done:
            arrive(question, stage + 1)


def _batch(queue: deque[tuple[int, int]], asked: Sequence[Sequence[Stage]], size: int) -> list[tuple[int, int]]:
    """Take the first waiting stage, and others of the same name up to `size`."""
    name = asked[queue[0][0]][queue[0][1]].name
    taken = [item for item in queue if asked[item[0]][item[1]].name == name][:size]
    for item in taken:
        queue.remove(item)
    return taken


def by_arithmetic(card: str, generator: float, foreign: float) -> list[Stage]:
    """Return the stages of a question, with the lengths and assumptions of `benchmarks.reproduction`."""
    plan = Plan(1, foreign, CARDS[card], 0.4, 1)

    def stage(name: str, calls: float, weights: float, read: float, written: float) -> Stage:
        own = plan.hours(calls, weights, read, 0) * 3600
        return Stage(name, plan.hours(1, weights, 0, written) * 3600, own)

    translated = READ * foreign
    return [
        Stage("retrieve", 0.028, 0.0),  # 39 million passages, measured on two cores (docs/sizing.md)
        stage("rerank", DEPTH, ENCODER, 256, 0),
        stage("translate", translated * 6, 0.6e9, 40, 40),
        stage("tag", translated, TAGGER, 600, 25),
        stage("answer", 1, generator, READ * 200 + 180, 20),
    ]


def recorded(file: Path) -> list[list[Stage]]:
    """Return the stages of each answer of a run, without any that took no time."""
    rows = [json.loads(line)["seconds"] for line in file.read_text(encoding="utf-8").splitlines()]
    return [[Stage(name, 0.0, row[name]) for name in DEVICES if row.get(name)] for row in rows]


def main(
    answers: Path = typer.Argument(None, exists=True, dir_okay=False, help="Of a run; none: arithmetic."),  # noqa: B008
    card: str = typer.Option("H100", help=f"For the arithmetic: one of {', '.join(CARDS)}."),
    generator: str = typer.Option("Qwen2.5-7B", help=f"For the arithmetic: one of {', '.join(GENERATORS)}."),
    questions: int = typer.Option(2827, help="For the arithmetic."),
    foreign: float = typer.Option(0.227, help="For the arithmetic: share of foreign passages."),
    batch: int = typer.Option(64, help="For the arithmetic: questions in a batch of a device."),
) -> None:
    """Print the simulated seconds and how busy each device is with 1 to 256 questions in flight."""
    if card not in CARDS or generator not in GENERATORS:
        raise typer.BadParameter(f"'{card}' or '{generator}' is unknown; see --help")
    asked = recorded(answers) if answers else [by_arithmetic(card, GENERATORS[generator], foreign)] * questions
    devices = list(dict.fromkeys(DEVICES.values()))
    rows = []
    for in_flight in (1, 8, 64, 128, 256):
        found = replay(asked, in_flight, 1 if answers else batch)  # what a batch would share is not recorded
        shares = [f"{100 * found.busy[device] / found.seconds:.0f} %" for device in devices]
        rows.append([str(in_flight), f"{found.seconds:,.0f}", *shares])
    console().print(table("in flight", "seconds", *(f"{device} busy" for device in devices), rows=rows))


if __name__ == "__main__":
    app = typer.Typer(pretty_exceptions_enable=False)
    app.command()(main)
    app()
