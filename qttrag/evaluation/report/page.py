"""The report of a run: one self-contained HTML page with tables, charts and answers side by side."""

from __future__ import annotations

import functools
import json
import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qttrag.errors import ConfigError
from qttrag.evaluation.datasets.questions import Question
from qttrag.evaluation.report import run_charts
from qttrag.evaluation.report.gaps import gaps
from qttrag.evaluation.report.tables import Figures, Table
from qttrag.evaluation.runs.figures import RIGHT, value
from qttrag.evaluation.runs.folder import Run
from qttrag.evaluation.runs.scoring import ScoredCell
from qttrag.types import TaggedPassage

if TYPE_CHECKING:
    from jinja2 import Template

_MAX_ANSWERS = 2000  # on a page, which is then some megabytes
_MAX_TEXT = 500  # characters of a passage


def page(
    run: Run, scored: Sequence[ScoredCell], figures: Figures, tables: Sequence[Table], *, findings: Sequence[str] = ()
) -> str:
    """Return the page. Of a long run it has the first questions of each row, and says how many.

    `findings`: sentences that stand before the notes.

    Raises:
        ConfigError: jinja2 is not installed."""
    headline = run.headline
    limit = max(5, _MAX_ANSWERS // len(scored))
    groups = {f"{row} · {generator}": group for (row, generator), group in _by_row_and_generator(scored).items()}
    return template("page.html").render(
        title=f"{run.name}: {headline.measure}, {headline.of} against {headline.over}",
        about=f"qttrag {run.identity['qttrag']} · {run.folder.name} · {len(scored)} cells",
        notes=[*findings, *gaps(run, scored)],
        tables=tables,
        charts=[
            *run_charts.across_rows(headline.measure, scored, figures),
            *(chart for name, group in groups.items() for chart in run_charts.charts(run, name, group, figures)),
        ],
        of=headline.of,
        over=headline.over,
        shown=f"The first {limit} questions of each row; right: {headline.measure} of {RIGHT:g} or more.",
        provenance=json.dumps([run.identity, run.sessions], ensure_ascii=False, indent=1),
        data={"places": {name: list(_questions(run, group, limit)) for name, group in groups.items()}},
    )


@functools.cache
def template(name: str) -> Template:
    """Return a template of this folder; what it inserts is escaped.

    Raises:
        ConfigError: jinja2 is not installed."""
    try:
        from jinja2 import Environment, FileSystemLoader, StrictUndefined
    except ModuleNotFoundError as error:
        raise ConfigError(f"the report page needs the package '{error.name}'; pip install 'qttrag[eval]'") from error
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.policies["json.dumps_kwargs"] = {"ensure_ascii": False}  # keeps the order of strategies, too
    return environment.get_template(name)


def _by_row_and_generator(scored: Sequence[ScoredCell]) -> dict[tuple[str, str], list[ScoredCell]]:
    groups: dict[tuple[str, str], list[ScoredCell]] = defaultdict(list)
    for cell in scored:
        groups[cell.cell.dataset, cell.cell.generator].append(cell)
    return groups


def _questions(run: Run, group: Sequence[ScoredCell], limit: int) -> Iterator[dict[str, Any]]:
    """Yield the first questions of a row, each with the answers of all strategies."""
    headline = run.headline
    asked = [
        question
        for question in run.questions(group[0].cell.dataset)
        if any(question.question_id in cell.answers or question.question_id in cell.failed for cell in group)
    ]
    for question in asked[:limit]:
        answers = {cell.cell.strategy: _answer(cell, question, headline.measure) for cell in group}
        yield {
            "id": question.question_id,
            "question": question.text,
            "answers": question.answers,
            "given": {strategy: answer for strategy, answer in answers.items() if answer},
            "outcome": _outcome(answers.get(headline.of), answers.get(headline.over)),
        }


def _outcome(of: Mapping[str, Any] | None, over: Mapping[str, Any] | None) -> str:
    if not of or not over or of["text"] is None or over["text"] is None:
        return "failed"
    outcomes = {(True, False): "gain", (False, True): "loss", (True, True): "both"}
    return outcomes.get((of["right"], over["right"]), "none")


def _answer(scored: ScoredCell, question: Question, measure: str) -> dict[str, Any] | None:
    """Return the answer of a strategy to a question, None if the question was not asked."""
    question_id = question.question_id
    if question_id in scored.failed:
        error = scored.failed[question_id]
        return {"text": None, "error": error, "value": None, "right": False, "context": [], "notes": []}
    if question_id not in scored.answers:
        return None
    record, number = scored.answers[question_id], value(scored.values[question_id], measure)
    return {
        "text": record.text,
        "error": None,
        "value": None if math.isnan(number) else round(number, 3),
        "right": number >= RIGHT,
        "context": [_passage(passage) for passage in record.context],
        "notes": record.notes,
    }


def _passage(passage: TaggedPassage) -> dict[str, Any]:
    scores = passage.scores
    tag = f"unscored: {passage.unscored}" if passage.unscored else ""
    if scores:
        tag = " · ".join(f"{name} {score:g}" for name, score in scores.measured().items())
    marks = [*passage.flags, *(error.kind for error in passage.critical_errors)]
    return {
        "lang": passage.passage.lang,
        "title": passage.passage.title,
        "text": passage.passage.text[:_MAX_TEXT],
        "translation": passage.translation and passage.translation[:_MAX_TEXT],
        "refined": passage.refined and passage.refined[:_MAX_TEXT],
        "tag": " ".join(filter(None, (tag, " ".join(f"[{mark}]" for mark in marks)))),
    }
