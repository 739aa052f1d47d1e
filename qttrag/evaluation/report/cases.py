"""Cases of a run: questions that one strategy answers and another does not, or where scores and answers disagree."""

from __future__ import annotations

import re
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, NamedTuple

from qttrag.evaluation.datasets.questions import Question
from qttrag.evaluation.report.page import template
from qttrag.evaluation.runs.answer_files import Cell
from qttrag.evaluation.runs.figures import RIGHT, value
from qttrag.evaluation.runs.folder import Run
from qttrag.evaluation.runs.scoring import ScoredCell
from qttrag.strategies.hard_filter import THRESHOLD
from qttrag.types import TaggedPassage

Kind = Literal["rescued", "harmed", "low-score-right", "high-score-wrong"]
HIGH = 4.5
TITLES: Mapping[Kind, str] = {
    "rescued": "{of} is right, {over} is not",
    "harmed": "{over} is right, {of} is not",
    "low-score-right": "{of} is right, the mean score of each translation is below {low:g}",
    "high-score-wrong": "{of} is wrong, the mean score of each translation is {high:g} or more",
}


class Read(NamedTuple):
    """A passage as a generator read it. `scores`: with the tagger's findings; empty without."""

    lang: str
    title: str
    original: str
    translation: str | None
    scores: str
    refined: str | None


class Given(NamedTuple):
    """The answer of a strategy, its value, and what was read for it."""

    strategy: str
    text: str
    value: float
    passages: tuple[Read, ...]


@dataclass(frozen=True)
class Case:
    """A question with two answers, the strategy that the headline is about last."""

    dataset: str
    generator: str
    question_id: str
    question: str
    references: tuple[str, ...]
    over: Given
    of: Given


class Cases(NamedTuple):
    """The cases of a kind, the clearest first. `total`: of how many questions that both strategies answered; `n`: how
    many cases there are in all."""

    title: str
    measure: str
    cases: list[Case]
    n: int
    total: int


def cases(
    run: Run,
    scored: Sequence[ScoredCell],
    kind: Kind,
    *,
    of: str | None = None,
    over: str | None = None,
    limit: int = 10,
    low: float = THRESHOLD,
    high: float = HIGH,
) -> Cases:
    """Return the cases of a kind. `of`, `over`: the strategies, by default those of the headline.

    Those of the two first kinds are ordered by the difference of the values, the others by the mean score."""
    headline = run.headline
    of, over = of or headline.of, over or headline.over
    by_cell = {cell.cell: cell for cell in scored}
    found: list[tuple[float, Case]] = []
    total = 0
    for cell in by_cell.values():
        other = by_cell.get(cell.cell._replace(strategy=over))
        if cell.cell.strategy != of or other is None:
            continue
        for case in _both(run, cell, other, headline.measure):
            total += 1
            context = cell.answers[case.question_id].context
            clearness = _clearness(kind, case, _means(context), low, high)
            if clearness is not None:
                found.append((clearness, case))
    found.sort(key=lambda each: -each[0])
    title = TITLES[kind].format(of=of, over=over, low=low, high=high)
    return Cases(title, headline.measure, [case for _, case in found[:limit]], len(found), total)


def _both(run: Run, cell: ScoredCell, other: ScoredCell, measure: str) -> Iterator[Case]:
    questions = {question.question_id: question for question in run.questions(cell.cell.dataset)}
    for question_id in cell.answers:
        if question_id in other.answers and measure in cell.values[question_id]:
            yield _case(
                cell.cell,
                questions[question_id],
                _given(other, question_id, measure),
                _given(cell, question_id, measure),
            )


def _case(cell: Cell, question: Question, over: Given, of: Given) -> Case:
    return Case(cell.dataset, cell.generator, question.question_id, question.text, question.answers, over, of)


def _given(cell: ScoredCell, question_id: str, measure: str) -> Given:
    record = cell.answers[question_id]
    passages = tuple(map(_read, record.context))
    return Given(cell.cell.strategy, record.text or "", value(cell.values[question_id], measure), passages)


def _read(passage: TaggedPassage) -> Read:
    scores = passage.scores
    parts = [f"{name} {score:g}" for name, score in scores.measured().items()] if scores else []
    parts += [f"unscored: {passage.unscored}"] if passage.unscored else []
    parts += [f"[{error.kind}: {', '.join(error.original)}]" for error in passage.critical_errors]
    own = passage.passage
    return Read(own.lang, own.title, own.text, passage.translation, " · ".join(parts), passage.refined)


def _means(context: Sequence[TaggedPassage]) -> list[float]:
    """Return the mean score of each scored translation."""
    return [statistics.fmean(passage.scores.values()) for passage in context if passage.scores is not None]


def _clearness(kind: Kind, case: Case, means: Sequence[float], low: float, high: float) -> float | None:
    """Return how clear a case is, None if it is none of this kind."""
    right, before = case.of.value >= RIGHT, case.over.value >= RIGHT
    gain = case.of.value - case.over.value
    if kind == "rescued":
        return gain if right and not before else None
    if kind == "harmed":
        return -gain if before and not right else None
    if not means:
        return None
    if kind == "low-score-right":
        return -statistics.fmean(means) if right and max(means) < low else None
    return statistics.fmean(means) if not right and min(means) >= high else None


def rows(case: Case) -> list[list[str]]:
    """Return a case as a table, side by side: a label, the other strategy, the strategy of the headline."""
    both = (case.over, case.of)
    table = [
        ["", *(given.strategy for given in both)],
        ["answer", *(given.text for given in both)],
        ["value", *(f"{given.value:.2f}" for given in both)],
    ]
    for n in range(max(len(given.passages) for given in both)):
        table.append(
            [f"passage {n + 1}", *(_cell(given.passages[n]) if n < len(given.passages) else "" for given in both)]
        )
    return table


def _cell(read: Read) -> str:
    head = f"({read.lang}) {read.title}".strip()
    translated = [f"translation: {read.translation}", read.scores] if read.translation is not None else []
    refined = [f"rewritten: {read.refined}"] if read.refined else []
    return "\n".join(filter(None, [head, read.original, *translated, *refined]))


def as_json(found: Cases) -> dict[str, Any]:
    listed = [
        {**asdict(case), **{side: _given_json(getattr(case, side)) for side in ("over", "of")}} for case in found.cases
    ]
    return {"title": found.title, "measure": found.measure, "n": found.n, "of": found.total, "cases": listed}


def _given_json(given: Given) -> dict[str, Any]:
    return {**given._asdict(), "passages": [read._asdict() for read in given.passages]}


_MARKDOWN = re.compile(r"([\\`*_{}\[\]()#+!|~-])")


def _escaped(text: str) -> str:
    """Return a text that Markdown shows as it is, in one cell of a table."""
    plain = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _MARKDOWN.sub(r"\\\1", plain).replace("\r", " ").replace("\n", "<br>")


def markdown(found: Cases) -> str:
    lines = [f"# {_escaped(found.title)}", "", f"{found.n} of {found.total} questions, by {found.measure}."]
    for case in found.cases:
        place = f"{case.dataset} · {case.generator} · {case.question_id}"
        lines += [
            "",
            f"## {_escaped(case.question)}",
            "",
            f"{_escaped(place)}. References: {_escaped(' | '.join(case.references))}",
            "",
        ]
        head, *body = rows(case)
        for row in (head, ["---"] * len(head), *body):
            lines.append(f"| {' | '.join(each if set(each) == {'-'} else _escaped(each) for each in row)} |")
    return "\n".join([*lines, ""])


def html(found: Cases) -> str:
    """Return a page by itself; every text in it is escaped.

    Raises:
        ConfigError: jinja2 is not installed."""
    return template("cases.html").render(found=found, tables=[(case, rows(case)) for case in found.cases])
