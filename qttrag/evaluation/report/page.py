"""A run as one HTML page that needs nothing else: tables, charts, answers side by side. All text in it is escaped."""

from __future__ import annotations

import json
import math
import statistics
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from pathlib import Path
from string import Template
from typing import Any

import numpy as np

from qttrag.evaluation.datasets.questions import Question
from qttrag.evaluation.metrics.registry import MEASURES
from qttrag.evaluation.report.charts import Bar, bars, stacked
from qttrag.evaluation.report.tables import Figures, Grid
from qttrag.evaluation.runs.folder import Run
from qttrag.evaluation.runs.scoring import Scored
from qttrag.evaluation.statistics import bootstrap
from qttrag.evaluation.suites import Headline
from qttrag.types import TaggedPassage

_ANSWERS = 2000  # on a page: some megabytes
_TEXT = 500  # characters of a passage
_RIGHT = 0.5  # of the headline's measure, from which on an answer counts as right
_TEMPLATE = Path(__file__).with_name("page.html")


def page(run: Run, scored: Sequence[Scored], figures: Figures, grids: Sequence[Grid]) -> str:
    """Return the page. Of long runs the first questions of each row are on it, and it says so."""
    headline = run.headline
    per_place = max(5, _ANSWERS // len(scored))
    places = {f"{row} · {generator}": group for (row, generator), group in _by_place(scored).items()}
    data = {"places": {name: list(_answers(run, group, per_place)) for name, group in places.items()}}
    charts = "".join(_charts(run, name, group, figures) for name, group in places.items())
    notes = "".join(f"<li>{escape(note)}</li>" for note in run.notes)
    return Template(_TEMPLATE.read_text("utf-8")).substitute(
        title=escape(f"{run.name}: {headline.measure}, {headline.of} against {headline.over}"),
        about=escape(f"qttrag {run.identity['qttrag']} · {run.folder.name} · {len(scored)} cells"),
        notes=f"<ul>{notes}</ul>" if notes else "",
        tables="".join(map(_table, grids)),
        charts=charts,
        of=escape(headline.of),
        over=escape(headline.over),
        shown=escape(f"The first {per_place} questions of each row; right: {headline.measure} of {_RIGHT:g} or more."),
        provenance=escape(json.dumps([run.identity, run.sessions], ensure_ascii=False, indent=1)),
        data=json.dumps(data, ensure_ascii=False).replace("<", "\\u003c"),  # no text can end the script
    )


def _by_place(scored: Sequence[Scored]) -> dict[tuple[str, str], list[Scored]]:
    places: dict[tuple[str, str], list[Scored]] = defaultdict(list)
    for each in scored:
        places[each.cell.dataset, each.cell.generator].append(each)
    return places


def _table(grid: Grid) -> str:
    head = "".join(f"<th>{escape(column)}</th>" for column in grid.columns)
    rows = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in grid.rows)
    signed = "".join(f"<div>{escape(signature)}</div>" for signature in grid.signatures)
    signatures = f'<details class="small"><summary>signatures</summary>{signed}</details>' if signed else ""
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
    return f"<h2>{escape(grid.title)}</h2>{table}{signatures}"


def _charts(run: Run, name: str, group: Sequence[Scored], figures: Figures) -> str:
    headline = run.headline
    scale = 100 if MEASURES[headline.measure].unit == "%" else 1
    found = [(e.cell.strategy, figures[e.cell][headline.measure].interval) for e in group if _has(figures, e, headline)]
    main = [Bar(strategy, i.value * scale, i.low * scale, i.high * scale) for strategy, i in found]
    by_name = {each.cell.strategy: each for each in group}
    drawn = [bars(f"{name}: {headline.measure} by strategy", main)]
    if of := by_name.get(headline.of):
        drawn += [bars(f"{name}: {criterion} scores of translations", bins) for criterion, bins in _scores(of)]
        drawn.append(
            bars(f"{name}: {headline.measure} of {headline.of} by mean score", _by_score(of, headline.measure))
        )
        if over := by_name.get(headline.over):
            title = f"{name}: gain of {headline.of} over {headline.over} by passages in another language"
            drawn.append(bars(title, _by_foreign(of, over, headline.measure)))
    drawn.append(stacked(f"{name}: seconds per question, by stage", {s: _seconds(e) for s, e in by_name.items()}))
    return "".join(drawn)


def _has(figures: Figures, scored: Scored, headline: Headline) -> bool:
    return headline.measure in figures[scored.cell]


def _scores(scored: Scored) -> Iterator[tuple[str, list[Bar]]]:
    """Yield, for each criterion, how many translations have which score, in steps of a half."""
    found = [p.scores for record in scored.answers.values() for p in record.context if p.scores is not None]
    for criterion in ("semantic", "grammar", "fluency"):
        counts = Counter(math.floor(getattr(scores, criterion) * 2) / 2 for scores in found)
        if counts:
            yield criterion, [Bar(f"{step / 2:.1f}", counts[step / 2]) for step in range(11)]


def _by_score(scored: Scored, measure: str) -> list[Bar]:
    """Return the measure by the mean score of the translations that were read."""
    values: dict[str, list[float]] = defaultdict(list)
    for question_id, record in scored.answers.items():
        scores = [statistics.fmean(p.scores.values()) for p in record.context if p.scores is not None]
        if scores:
            low = min(4, math.floor(statistics.fmean(scores)))
            values[f"{low} to {low + 1}"].append(_value(scored, question_id, measure))
    return _bars(values, measure)


def _by_foreign(of: Scored, over: Scored, measure: str) -> list[Bar]:
    """Return the gain of one strategy over another by how many of the passages were in another language."""
    values: dict[str, list[float]] = defaultdict(list)
    for question_id in of.values.keys() & over.values.keys():
        foreign, read = of.values[question_id].get("r_lang", (0.0, 0.0))
        gain = _value(of, question_id, measure) - _value(over, question_id, measure)
        values[f"{foreign:.0f} of {read:.0f}"].append(gain)
    return _bars(values, measure)


def _bars(values: Mapping[str, Sequence[float]], measure: str) -> list[Bar]:
    scale = 100 if MEASURES[measure].unit == "%" else 1
    made = []
    for label, found in sorted(values.items()):
        known = np.array([[value * scale] for value in found if not math.isnan(value)])
        if len(known):
            (interval,) = bootstrap(known, np.ones_like(known))
            made.append(Bar(label, *interval, note=f"n {len(known)}"))
    return made


def _seconds(scored: Scored) -> dict[str, float]:
    total: Counter[str] = Counter()
    for record in scored.answers.values():
        total.update(record.seconds)
    return {stage: max(0.0, value) / len(scored.answers) for stage, value in total.items()}


def _value(scored: Scored, question_id: str, measure: str) -> float:
    over, under = scored.values[question_id].get(measure, (0.0, 0.0))
    return over / under if under else math.nan


def _answers(run: Run, group: Sequence[Scored], most: int) -> Iterator[dict[str, Any]]:
    headline = run.headline
    asked = [
        question
        for question in run.questions(group[0].cell.dataset)
        if any(question.question_id in each.answers or question.question_id in each.failed for each in group)
    ]
    for question in asked[:most]:
        given = {each.cell.strategy: _given(each, question, headline.measure) for each in group}
        yield {
            "id": question.question_id,
            "question": question.text,
            "answers": question.answers,
            "given": {name: answer for name, answer in given.items() if answer},
            "outcome": _outcome(given.get(headline.of), given.get(headline.over)),
        }


def _outcome(of: Mapping[str, Any] | None, over: Mapping[str, Any] | None) -> str:
    if not of or not over or of["text"] is None or over["text"] is None:
        return "failed"
    return {(True, False): "gain", (False, True): "loss", (True, True): "both"}.get(
        (of["right"], over["right"]), "none"
    )


def _given(scored: Scored, question: Question, measure: str) -> dict[str, Any] | None:
    question_id = question.question_id
    if question_id in scored.failed:
        return {
            "text": None,
            "error": scored.failed[question_id],
            "value": None,
            "right": False,
            "context": [],
            "notes": [],
        }
    if question_id not in scored.answers:
        return None
    record, value = scored.answers[question_id], _value(scored, question_id, measure)
    return {
        "text": record.text,
        "error": None,
        "value": None if math.isnan(value) else round(value, 3),
        "right": value >= _RIGHT,
        "context": [_read(passage) for passage in record.context],
        "notes": record.notes,
    }


def _read(passage: TaggedPassage) -> dict[str, Any]:
    scores = passage.scores
    tag = f"unscored: {passage.unscored}" if passage.unscored else ""
    if scores:
        tag = f"semantic {scores.semantic:g} · grammar {scores.grammar:g} · fluency {scores.fluency:g}"
    return {
        "lang": passage.passage.lang,
        "title": passage.passage.title,
        "text": passage.passage.text[:_TEXT],
        "translation": passage.translation and passage.translation[:_TEXT],
        "refined": passage.refined and passage.refined[:_TEXT],
        "tag": " ".join(filter(None, (tag, " ".join(f"[{flag}]" for flag in passage.flags)))),
    }
