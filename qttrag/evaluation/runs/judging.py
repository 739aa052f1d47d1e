"""A language model's verdicts on the answers of a run, in `judged.jsonl` of its folder.

The first line names the judge and its prompt; each further line is one verdict, synced, so that an interrupted
judgement goes on. A verdict is of one text: an answer that is given again is judged again."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple, TextIO

from qttrag.errors import InputError
from qttrag.evaluation.datasets.questions import Question
from qttrag.evaluation.runs import provenance
from qttrag.evaluation.runs.answer_files import Cell, latest, remove_incomplete_line
from qttrag.evaluation.runs.folder import Run
from qttrag.prompts import FALLBACK, JudgePrompt, Prompts
from qttrag.protocols import Generator
from qttrag.runtime.tasks import gather_or_cancel
from qttrag.types import Decoding

FILE = "judged.jsonl"
_SCHEMA: Mapping[str, object] = {
    "type": "object",
    "properties": {"right": {"type": "boolean"}},
    "required": ["right"],
    "additionalProperties": False,
}
_DECODING = Decoding(max_tokens=16, schema=_SCHEMA)
_IN_FLIGHT = 32


class Judgement(NamedTuple):
    """The outcome of a judgement: verdicts given now, and before; replies that could not be read."""

    judged: int
    before: int
    unreadable: int


class _Work(NamedTuple):
    cell: Cell
    question: Question
    text: str


Verdicts = Mapping[tuple[Cell, str, str], bool | None]
"""Whether the answer is right, by cell, question id and text; None if the judge's reply could not be read."""


def read(run: Run) -> tuple[Mapping[str, str] | None, Verdicts]:
    """Return the judge of a run, None if it has none, and its verdicts.

    Raises:
        InputError: the file is damaged."""
    path = run.folder / FILE
    if not path.exists():
        return None, {}
    *whole, _ = path.read_bytes().split(b"\n")  # the last line is empty, or incomplete after a kill
    try:
        judge, *verdicts = map(json.loads, whole)
        return judge, {(Cell(*each["cell"]), each["id"], each["text"]): each["right"] for each in verdicts}
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: damaged ({type(error).__name__}: {error}); remove it and judge again") from error


def note(judge: Mapping[str, str] | None, verdicts: Verdicts) -> str | None:
    """Return what a reader of a judge's figures should know, None without a judge."""
    unreadable = sum(right is None for right in verdicts.values())
    return f"judged by {judge['judge']}; {unreadable} of {len(verdicts)} replies unreadable" if judge else None


async def judge(
    run: Run,
    generator: Generator,
    prompts: Prompts,
    *,
    again: bool = False,
    on_verdict: Callable[[int], None] = lambda total: None,
) -> Judgement:
    """Judge the answers that have references and no verdict yet, greedy. `again`: forget earlier verdicts.

    `on_verdict`: called after each, with the number of all that are to be given.

    Raises:
        InputError: another judge gave the verdicts that the run has. StageError: the generator failed."""
    prompt = prompts.judge(FALLBACK)
    by = {"judge": generator.identity, "prompt": provenance.digest([prompt.model_dump(mode="json")])}
    path = run.folder / FILE
    if again:
        path.unlink(missing_ok=True)
    remove_incomplete_line(path)
    judge_before, verdicts = read(run)
    if judge_before not in (None, by):
        raise InputError(f"{path} has the verdicts of another judge or prompt ({judge_before}); --again forgets them")
    work = [each for each in _answers(run) if (each.cell, each.question.question_id, each.text) not in verdicts]
    with path.open("a", encoding="utf-8") as file:
        if judge_before is None:
            _append(file, by)
        unreadable = await _judge(work, generator, prompt, file, on_verdict)
    return Judgement(len(work), len(verdicts), unreadable)


def _answers(run: Run) -> Iterator[_Work]:
    for cell in run.cells():
        answers = latest(cell.file(run.folder))
        for question in run.questions(cell.dataset):
            answer = answers.get(question.question_id)
            if question.answers and answer is not None and answer.text:
                yield _Work(cell, question, answer.text)


async def _judge(
    work: list[_Work], generator: Generator, prompt: JudgePrompt, file: TextIO, on_verdict: Callable[[int], None]
) -> int:
    """Write the verdicts; return how many replies could not be read."""
    remaining, unreadable = iter(work), 0

    async def worker() -> None:
        nonlocal unreadable
        for cell, question, text in remaining:
            completion = await generator.complete(prompt.messages(question.text, question.answers, text), _DECODING)
            right = read_reply(completion.text)
            unreadable += right is None
            _append(file, {"cell": cell, "id": question.question_id, "text": text, "right": right})
            on_verdict(len(work))

    await gather_or_cancel(worker() for _ in range(min(_IN_FLIGHT, len(work))))
    return unreadable


def _append(file: TextIO, value: Any) -> None:
    file.write(f"{json.dumps(value, ensure_ascii=False)}\n")
    file.flush()
    os.fsync(file.fileno())


def read_reply(reply: str) -> bool | None:
    """Return the verdict in a reply, None if it has none."""
    try:
        value = json.loads(reply[reply.find("{") : reply.rfind("}") + 1])
    except ValueError:
        return None
    right = value.get("right") if isinstance(value, dict) else None
    return right if isinstance(right, bool) else None
