"""Verdicts on the answers of a run, in a file of its folder.

The first line names the judge; each further line is one verdict, synced, so that an interrupted judgement goes on. A
verdict is of what was judged: an answer that is given again is judged again."""

from __future__ import annotations

import json
import os
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, TextIO, TypeVar

from qttrag.errors import InputError
from qttrag.evaluation.runs.answer_files import Cell, remove_incomplete_line
from qttrag.runtime.tasks import gather_or_cancel

T = TypeVar("T")
V = TypeVar("V")
_IN_FLIGHT = 32


class Key(NamedTuple):
    """A question of a cell, and what was judged: the text of the answer, or a digest."""

    cell: Cell
    question_id: str
    judged: str


class Given(NamedTuple):
    """The verdicts given now, and how many there were before."""

    now: list[Any]
    before: int


def read(path: Path) -> tuple[Mapping[str, str] | None, dict[Key, Any]]:
    """Return the judge and its verdicts; None and none if there is no file.

    Raises:
        InputError: the file is damaged."""
    if not path.exists():
        return None, {}
    *whole, _ = path.read_bytes().split(b"\n")  # the last line is empty, or incomplete after a kill
    try:
        judge, *verdicts = map(json.loads, whole)
        return judge, {Key(Cell(*each["cell"]), each["id"], each["judged"]): each["verdict"] for each in verdicts}
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: damaged ({type(error).__name__}: {error}); remove it and judge again") from error


async def give(
    path: Path,
    by: Mapping[str, str],
    work: Mapping[Key, T],
    judge: Callable[[T], Awaitable[Any]],
    *,
    again: bool = False,
    on_verdict: Callable[[int], None] = lambda total: None,
) -> Given:
    """Append a verdict for all work that has none yet. `by`: what all verdicts depend on. `again`: forget earlier ones.

    `on_verdict`: called after each, with the number of all that are to be given.

    Raises:
        InputError: another judge gave the verdicts of the file."""
    if again:
        path.unlink(missing_ok=True)
    remove_incomplete_line(path)
    before, verdicts = read(path)
    if before not in (None, by):
        raise InputError(f"{path} has the verdicts of another judge or prompt ({before}); --again forgets them")
    new = {key: value for key, value in work.items() if key not in verdicts}
    with path.open("a", encoding="utf-8") as file:
        if before is None:
            _append(file, by)

        async def one(item: tuple[Key, T]) -> Any:
            key, value = item
            verdict = await judge(value)
            _append(file, {"cell": key.cell, "id": key.question_id, "judged": key.judged, "verdict": verdict})
            on_verdict(len(new))
            return verdict

        return Given(await each(list(new.items()), one), len(verdicts))


async def each(items: list[T], function: Callable[[T], Awaitable[V]]) -> list[V]:
    """Return the function's value of each item, in order; a bounded number of calls runs at the same time."""
    values: dict[int, V] = {}
    remaining = iter(enumerate(items))

    async def worker() -> None:
        for n, item in remaining:
            values[n] = await function(item)

    await gather_or_cancel(worker() for _ in range(min(_IN_FLIGHT, len(items))))
    return [values[n] for n in range(len(items))]


def _append(file: TextIO, value: Any) -> None:
    file.write(f"{json.dumps(value, ensure_ascii=False)}\n")
    file.flush()
    os.fsync(file.fileno())
