"""A language model's verdicts on the answers of a run, in `judged.jsonl` of its folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from qttrag.evaluation import truth_replies
from qttrag.evaluation.datasets.questions import Question
from qttrag.evaluation.runs import provenance, verdicts
from qttrag.evaluation.runs.answer_files import latest
from qttrag.evaluation.runs.folder import Run
from qttrag.evaluation.runs.verdicts import Key
from qttrag.prompts import FALLBACK, Prompts
from qttrag.protocols import Generator

FILE = "judged.jsonl"
_RIGHT = "right"


class Judgement(NamedTuple):
    """The outcome of a judgement: verdicts given now, and before; replies that could not be read."""

    judged: int
    before: int
    unreadable: int


class _Work(NamedTuple):
    question: Question
    text: str


Verdicts = Mapping[Key, bool | None]
"""Whether the answer is right; None if the judge's reply could not be read."""


def read(run: Run) -> tuple[Mapping[str, str] | None, Verdicts]:
    """Return the judge of a run, None if it has none, and its verdicts.

    Raises:
        InputError: the file is damaged."""
    return verdicts.read(run.folder / FILE)


def note(judge: Mapping[str, str] | None, given: Verdicts) -> str | None:
    """Return what a reader of a judge's figures should know, None without a judge."""
    unreadable = sum(right is None for right in given.values())
    return f"judged by {judge['judge']}; {unreadable} of {len(given)} replies unreadable" if judge else None


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

    async def right(work: _Work) -> bool | None:
        messages = prompt.messages(work.question.text, work.question.answers, work.text)
        return truth_replies.read((await generator.complete(messages, truth_replies.decoding(_RIGHT))).text, _RIGHT)

    path = run.folder / FILE
    given = await verdicts.give(path, by, dict(_answers(run)), right, again=again, on_verdict=on_verdict)
    return Judgement(len(given.now), given.before, given.now.count(None))


def _answers(run: Run) -> Iterator[tuple[Key, _Work]]:
    for cell in run.cells():
        answers = latest(cell.file(run.folder))
        for question in run.questions(cell.dataset):
            answer = answers.get(question.question_id)
            if question.answers and answer is not None and answer.text:
                yield Key(cell, question.question_id, answer.text), _Work(question, answer.text)
