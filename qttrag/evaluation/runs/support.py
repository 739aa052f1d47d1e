"""Whether the passages that were read support each sentence of an answer, in `supported.jsonl` of a run's folder.

The judge reads each passage as it was indexed, so that the language of a passage is that of its original, and each
sentence of the answer by itself. The sentence of an answer that has only one is judged together with the question,
because a short answer alone ("1905") says nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

from qttrag.evaluation.answers import AnswerRecord
from qttrag.evaluation.datasets.questions import Question
from qttrag.evaluation.runs import provenance, verdicts
from qttrag.evaluation.runs.answer_files import Cell, latest
from qttrag.evaluation.runs.folder import Run
from qttrag.evaluation.runs.verdicts import Key
from qttrag.pipeline import citations
from qttrag.protocols import SupportJudge
from qttrag.translators.sentences import sentences
from qttrag.types import Lang

FILE = "supported.jsonl"

Support = Sequence[Sequence[bool | None]]
"""For each sentence of an answer, whether each passage that was read supports it; None: undecided."""


class Judgement(NamedTuple):
    """The outcome of a judgement: answers judged now, and before; sentence and passage pairs judged now, and those of
    them that the judge could not decide."""

    judged: int
    before: int
    pairs: int
    undecided: int


class _Work(NamedTuple):
    claims: Sequence[str]
    premises: Sequence[str]
    lang: Lang


def read(run: Run) -> tuple[Mapping[str, str] | None, Mapping[Key, Support]]:
    """Return the judge of a run, None if it has none, and its verdicts by `key`.

    Raises:
        InputError: the file is damaged."""
    return verdicts.read(run.folder / FILE)


def key(cell: Cell, record: AnswerRecord) -> Key:
    """Return the key of the verdict on an answer: it is of the text and the passages."""
    judged = [record.text, *(each.passage.content for each in record.context)]
    return Key(cell, record.question_id, provenance.digest(judged))


def note(judge: Mapping[str, str] | None, given: Mapping[Key, Support]) -> str | None:
    """Return what a reader of the figures should know, None without a judge."""
    decisions = [decided for support in given.values() for row in support for decided in row]
    undecided = decisions.count(None)
    return (
        f"support judged by {judge['judge']}; {undecided} of {len(decisions)} pairs of sentence and passage undecided"
        if judge
        else None
    )


def claims(question: Question, text: str) -> list[str]:
    """Return the sentences of an answer as the judge reads them, without citation markers."""
    bare = citations.check(text, {}).bare
    parts = [sentence for sentence, _ in sentences(bare, question.lang) if any(map(str.isalnum, sentence))]
    return [f"{question.text} {parts[0]}"] if len(parts) == 1 else parts


async def support(
    run: Run,
    judge: SupportJudge,
    *,
    again: bool = False,
    on_verdict: Callable[[int], None] = lambda total: None,
) -> Judgement:
    """Judge the answers with passages that have no verdict yet. `again`: forget earlier verdicts.

    Abstentions are left out. `on_verdict`: called after each answer, with the number of all that are to be judged.

    Raises:
        InputError: another judge gave the verdicts that the run has. StageError: the judge failed."""

    async def decide(work: _Work) -> Support:
        return [[await judge.supports(premise, claim, work.lang) for premise in work.premises] for claim in work.claims]

    path = run.folder / FILE
    given = await verdicts.give(
        path, {"judge": judge.identity}, dict(_answers(run)), decide, again=again, on_verdict=on_verdict
    )
    decisions = [decided for rows in given.now for row in rows for decided in row]
    return Judgement(len(given.now), given.before, len(decisions), decisions.count(None))


def _answers(run: Run) -> Iterator[tuple[Key, _Work]]:
    for cell in run.cells():
        answers = latest(cell.file(run.folder))
        for question in run.questions(cell.dataset):
            record = answers.get(question.question_id)
            if record is not None and record.text and record.context and not record.abstained:
                premises = [each.passage.content for each in record.context]
                yield key(cell, record), _Work(claims(question, record.text), premises, question.lang)
