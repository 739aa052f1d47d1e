"""A tour of the method on the demo: questions chosen by rule from the test set, answered by one process.

python -m demo.tour    needs the demo's collections (make demo builds them)
"""

from __future__ import annotations

import asyncio
import shlex
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from demo.corpus import Question
from demo.tour_stops import STOPS, Asked, Stop, candidates, caught, lacks
from qttrag.application.application import Application
from qttrag.cli import output
from qttrag.cli.ask import evidence, passage_table
from qttrag.types import Answer, AskRequest

_TOGETHER = 12  # questions in flight

NEXT: Sequence[tuple[str, str]] = (
    ('ask -c demo "우간다의 공용어는 무엇입니까?"', "another question about a territory"),
    ('ask -c demo "Mikä on Gabonin valuutta?" -s base', "another strategy: qttrag strategies"),
    ("strategies", "what the strategies do"),
    ("serve -c demo", "a web page that compares strategies (make demo-page opens it)"),
    ("eval run demo --sample 40", "a benchmark of every strategy, with a report"),
    ("config show -c laptop", "a deployment with full-size models"),
)
"""The arguments of `qttrag` to go on with, and what each is for."""


class Found(NamedTuple):
    """The question of a stop. `place`: its place among the candidates, from 1."""

    stop: Stop
    asked: Asked
    place: int


async def find(
    application: Application, asked: Sequence[Question], progress: Callable[[int, int], None]
) -> AsyncIterator[Found]:
    """Yield the first question that fits each stop, as they are found; ask no more than that takes.

    A question is of one stop only, the first in `STOPS` that it fits and that has none yet.

    `progress`: gets the numbers of questions asked and of stops found."""
    left = list(STOPS)
    for start in range(0, len(asked), _TOGETHER):
        tried = await asyncio.gather(*(_ask(application, each) for each in asked[start : start + _TOGETHER]))
        for place, each in enumerate(tried, start + 1):
            if stop := next((stop for stop in left if stop.fits(each)), None):
                left.remove(stop)
                yield Found(stop, each, place)
        progress(start + len(tried), len(STOPS) - len(left))
        if not left:
            return


async def _ask(application: Application, question: Question) -> Asked:
    """Return a question with its answer, and with that of `base` where the two may differ."""
    strategies = ("qtt_rag", "base") if question.lang not in question.sheet.covered else ("qtt_rag",)
    requests = [AskRequest(question.text, lang=question.lang, strategy=strategy) for strategy in strategies]
    answers = await asyncio.gather(*map(application.ask, requests))
    return Asked(question, dict(zip(strategies, answers, strict=True)))


def show(number: int, found: Found) -> None:
    console, asked = output.console(), found.asked
    console.rule(f"{number}. {found.stop.title}", align="left")
    rule = f"The first question of the test set, of those that no other part shows, {found.stop.rule}"
    console.print(f"{rule} (number {found.place}).", style="dim")
    console.print(f"\n  {asked.question.text}", markup=False, style="bold")
    for strategy in found.stop.strategies:
        _show_answer(asked, strategy)
    if found.stop is STOPS[0]:
        context = asked.answers["qtt_rag"].context
        for bad in caught(asked):
            missing = ", ".join(lacks(context[bad - 1], asked.question.lang))
            console.print(f"passage {bad}: the translation should have {missing}", markup=False)
    console.print()


def _show_answer(asked: Asked, strategy: str) -> None:
    console, answer = output.console(), asked.answers[strategy]
    console.print(f"  {strategy}: {answer.text}  ({_judged(asked, answer, strategy)})\n", markup=False)
    console.print(passage_table(answer.context))
    if text := evidence(answer):
        console.print(text, markup=False)


def _judged(asked: Asked, answer: Answer, strategy: str) -> str:
    if not asked.question.gold:
        return "correct: no passage has it" if answer.abstained else "wrong: no passage has it"
    return "correct" if asked.is_right(strategy) else f"wrong: {asked.question.answers[0]}"


def next_lines() -> list[str]:
    """Return the commands to go on with, for a shell in this folder."""
    program = Path(sys.executable).with_name("qttrag")
    command = program.relative_to(Path.cwd()) if program.is_relative_to(Path.cwd()) else program
    lines = [(f"{command} {arguments}", purpose) for arguments, purpose in NEXT]
    width = max(len(line) for line, _ in lines)
    return [f"  {line:<{width}}  # {purpose}" for line, purpose in lines]


def arguments() -> list[list[str]]:
    """Return the arguments of the commands to go on with, as a shell passes them."""
    return [shlex.split(text) for text, _ in NEXT]


async def tour() -> list[Found]:
    """Show every stop and return them, in the order of `STOPS`."""
    found: list[Found] = []
    with output.console(stderr=True).status("loading the models") as status:

        def progress(count: int, stops: int) -> None:
            status.update(f"{count} test questions asked, {stops} of {len(STOPS)} stops found")

        async with Application.open("demo") as application:
            found = [each async for each in find(application, list(candidates()), progress)]
    found.sort(key=lambda each: STOPS.index(each.stop))
    for number, each in enumerate(found, 1):
        show(number, each)
    return found


def main() -> int:
    found = output.run(tour())
    missing = [stop.title for stop in STOPS if stop not in [each.stop for each in found]]
    for title in missing:
        output.tell(f"no question of the test set fits: {title}")
    output.say("The models are small: they demonstrate the method, and often err (demo/README.md has the figures).\n")
    output.say("How to go on:\n" + "\n".join(next_lines()))
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
