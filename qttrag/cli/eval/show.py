"""`qttrag eval show`."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from qttrag.cli import output
from qttrag.cli.eval import options
from qttrag.errors import InputError, unknown

if TYPE_CHECKING:
    from qttrag.evaluation.answers import AnswerRecord
    from qttrag.evaluation.datasets.questions import Question
    from qttrag.evaluation.runs.answer_files import Cell
    from qttrag.evaluation.runs.folder import Run


class _QuestionAnswers(NamedTuple):
    question: Question
    answers: list[tuple[Cell, AnswerRecord]]


def show(
    run: options.RunFolder,
    question: Annotated[str, typer.Option("--question", "-q", help="The id of the question.")],
    as_json: output.Json = False,
) -> None:
    """Show one question: its references, and the answer, passages and notes of every strategy and generator.

    Example: qttrag eval show xor-tydi --question -1607814965288159026
    """
    opened = options.open_run(run)
    by_row = _answers_by_row(opened, question)
    if not by_row:
        ids = [q.question_id for row in opened.identity["questions"] for q in opened.questions(row)]
        raise InputError(unknown("question", question, ids))
    if as_json:
        output.say_json({row: _as_json(answered) for row, answered in by_row.items()})
        return
    for asked, answers in by_row.values():
        output.say(output.printable(f"{asked.text}\nreferences: {' | '.join(asked.answers)}"))
        for cell, answer in answers:
            _print_answer(" · ".join(cell), answer)


def _answers_by_row(run: Run, question_id: str) -> dict[str, _QuestionAnswers]:
    from qttrag.evaluation.runs.answer_files import latest

    by_row: dict[str, _QuestionAnswers] = {}
    for cell in run.cells():
        questions = {question.question_id: question for question in run.questions(cell.dataset)}
        if question_id in questions:
            row = by_row.setdefault(cell.dataset, _QuestionAnswers(questions[question_id], []))
            if answer := latest(cell.file(run.folder)).get(question_id):
                row.answers.append((cell, answer))
    return by_row


def _as_json(answered: _QuestionAnswers) -> dict[str, Any]:
    return {
        "question": asdict(answered.question),
        "answers": [{**cell._asdict(), **asdict(answer)} for cell, answer in answered.answers],
    }


def _print_answer(title: str, answer: AnswerRecord) -> None:
    from qttrag.cli.ask import passage_table

    console = output.console()
    console.print(f"\n{output.printable(title)}", style="bold", markup=False)
    console.print(output.printable(answer.text if answer.text is not None else f"failed: {answer.error}"), markup=False)
    if answer.context:
        console.print(passage_table(answer.context))
    for note in answer.notes:
        console.print(f"note: {output.printable(note)}", markup=False)
