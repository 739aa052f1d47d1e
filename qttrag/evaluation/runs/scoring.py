"""From a run's answers to figures: without models, as often as one likes."""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import qttrag
from qttrag.errors import InputError
from qttrag.evaluation.datasets.questions import Question
from qttrag.evaluation.metrics import answer_recall, retrieval
from qttrag.evaluation.metrics.answer_recall import Holds
from qttrag.evaluation.metrics.entities import common_words
from qttrag.evaluation.metrics.registry import MEASURES, Answered, Values, causes_of, check, measure
from qttrag.evaluation.runs import search_cache as search
from qttrag.evaluation.runs.folder import Run
from qttrag.evaluation.runs.records import Cell, Record, latest
from qttrag.evaluation.statistics import Interval, bootstrap, holm, randomisation_test
from qttrag.runtime.cache import Cache

if TYPE_CHECKING:
    from qttrag.evaluation.statistics import Floats

_CHUNK = re.compile(r"#\d+$")  # a record that was cut into passages: "id#0", "id#1"


@dataclass(frozen=True)
class Scored:
    """A cell's answers with what every measure says of each. `failed`: questions without an answer, with the error.
    `references`: where the references are from, for signatures."""

    cell: Cell
    lang: str
    references: str
    answers: Mapping[str, Record]
    values: Mapping[str, Values]
    failed: Mapping[str, str]

    @property
    def causes(self) -> Counter[str]:
        return causes_of(list(self.answers.values()))


class Figure(NamedTuple):
    """A measure's figure over a cell: `n` questions had something to say to it. The signature goes where it goes."""

    interval: Interval
    n: int
    signature: str


class Comparison(NamedTuple):
    """One strategy over another on the questions that both answered: the difference, and whether it is chance.

    `p_holm`: corrected for all comparisons that were made with it."""

    dataset: str
    generator: str
    of: str
    over: str
    measure: str
    difference: Interval
    n: int
    p: float
    p_holm: float


def score(run: Run) -> list[Scored]:
    """Return every cell of a run, scored.

    Raises:
        InputError: the run has no answers, or a file of it is damaged."""
    cells = run.cells()
    if not cells:
        raise InputError(f"the run in {run.folder} has no answers yet; go on with it: qttrag eval run {run.name}")
    kept = search.store(run.folder)
    try:
        by_row: dict[str, dict[str, Question]] = {}
        for cell in cells:
            if cell.dataset not in by_row:
                by_row[cell.dataset] = {q.question_id: q for q in run.questions(cell.dataset)}
        found = _Found(kept)
        return [_score(run, cell, by_row[cell.dataset], found) for cell in cells]
    finally:
        kept.close()


def _score(run: Run, cell: Cell, questions: Mapping[str, Question], found: _Found) -> Scored:
    records = latest(cell.file(run.folder))
    if strange := records.keys() - questions.keys():
        raise InputError(f"{cell.file(run.folder)} answers '{min(strange)}', which is no question of '{cell.dataset}'")
    answers = {question_id: record for question_id, record in records.items() if not record.failed}
    asked = [questions[question_id] for question_id in answers]
    ranked = _retrieval(asked, answers)
    words = common_words(question.text for question in questions.values())
    kind = run.kind(cell.dataset)
    values = {
        question.question_id: measure(
            Answered(
                question,
                answers[question.question_id],
                kind,
                found=found.holds(question, answers[question.question_id]),
                retrieval=ranked.get(question.question_id),
                common_words=words,
            )
        )
        for question in asked
    }
    failed = {question_id: str(record.error) for question_id, record in records.items() if record.failed}
    lang = next(iter(questions.values())).lang
    return Scored(cell, lang, run.references(cell.dataset), answers, values, failed)


def _retrieval(questions: Sequence[Question], answers: Mapping[str, Record]) -> dict[str, dict[str, float]]:
    """Return the figures of the rankings of questions that have gold passages; zeros where nothing was found."""
    searched = [q for q in questions if q.gold and answers[q.question_id].search is not None]
    judged = {q.question_id: dict.fromkeys(q.gold, 1) for q in searched}
    rankings = {i: as_judged([f.passage_id for f in answers[i].ranking], judged[i]) for i in judged}
    return retrieval.by_query(judged, rankings) if judged else {}


def as_judged(ids: Sequence[str], judged: Collection[str]) -> list[str]:
    """Return the ids of a ranking; a passage cut from a judged record counts as that record."""
    return [each if each in judged else _CHUNK.sub("", each) for each in ids]


class _Found:
    """Which passages of a search hold the answer; looked at once for all strategies and generators."""

    def __init__(self, kept: Cache) -> None:
        self._kept = kept
        self._known: dict[tuple[str, str], dict[str, Holds]] = {}

    def holds(self, question: Question, record: Record) -> list[Holds] | None:
        if record.search is None:
            return None
        place = (question.lang + question.question_id, record.search)
        if place not in self._known:
            self._known[place] = {
                passage_id: answer_recall.holds(p.content, p.lang, question.lang, question.answers, question.elsewhere)
                for passage_id, p in search.passages(self._kept, record.search).items()
            }
        known = self._known[place]
        return [known[found.passage_id] for found in record.ranking] if known or not record.ranking else None


def columns(scored: Sequence[Scored], names: Sequence[str], ids: Sequence[str]) -> tuple[Floats, Floats]:
    """Return (over, under) of each measure of each cell, shape (ids, cells x measures)."""
    import numpy as np

    both = np.zeros((2, len(ids), len(scored) * len(names)))
    for block, each in enumerate(scored):
        for row, question_id in enumerate(ids):
            values = each.values.get(question_id)
            if values:
                for place, name in enumerate(names, block * len(names)):
                    if name in values:
                        both[:, row, place] = values[name]
    return both[0], both[1]


def figures(scored: Sequence[Scored]) -> dict[Cell, dict[str, Figure]]:
    """Return every measure's figure of every cell, those of which no answer says anything left out."""
    made: dict[Cell, dict[str, Figure]] = {}
    same: dict[tuple[str, ...], list[Scored]] = defaultdict(list)
    for each in scored:
        same[tuple(sorted(each.values))].append(each)
    names = list(MEASURES)
    for ids, group in same.items():  # cells of the same questions are drawn together
        over, under = columns(group, names, ids)
        intervals = bootstrap(over, under)
        for block, each in enumerate(group):
            told = {}
            for place, name in enumerate(names, block * len(names)):
                n = int((under[:, place] != 0).sum())
                if n:
                    told[name] = Figure(intervals[place], n, signature(name, each, n))
            made[each.cell] = told
    return {each.cell: made[each.cell] for each in scored}


def signature(name: str, scored: Scored, n: int) -> str:
    """Return what a figure is a figure of, in one line."""
    cell = scored.cell
    return (
        f"{MEASURES[name].signature}|data:{cell.dataset}|{scored.references}|lang:{scored.lang}"
        f"|generator:{cell.generator}|strategy:{cell.strategy}|n:{n}|v:{qttrag.__version__}"
    )


def comparisons(scored: Sequence[Scored], name: str, over: str) -> list[Comparison]:
    """Return every strategy compared with the one called `over`, within each dataset and generator.

    Raises:
        ConfigError: there is no such measure."""
    check(name)
    pairs = []
    for other in (each for each in scored if each.cell.strategy == over):
        for one in scored:
            if one.cell[:2] == other.cell[:2] and one is not other:
                pairs.append((one, other))
    return compare(pairs, name)


def compare(pairs: Sequence[tuple[Scored, Scored]], name: str) -> list[Comparison]:
    """Return the comparison of each pair, corrected for all of them; pairs without a common question are left out."""
    made = [compared for one, other in pairs if (compared := _compare(one, other, name)) is not None]
    corrected = holm([each.p for each in made])
    return [each._replace(p_holm=p) for each, p in zip(made, corrected, strict=True)]


def _compare(one: Scored, other: Scored, name: str) -> Comparison | None:
    import numpy as np

    ids = sorted(one.values.keys() & other.values.keys())
    mine, theirs = ([_value(each.values[question_id], name) for question_id in ids] for each in (one, other))
    pairs = [(a, b) for a, b in zip(mine, theirs, strict=True) if not (math.isnan(a) or math.isnan(b))]
    if not pairs:
        return None
    difference = np.array([[a - b] for a, b in pairs])
    (interval,) = bootstrap(difference, np.ones_like(difference))
    p = randomisation_test(*zip(*pairs, strict=True))
    cell = one.cell
    return Comparison(
        cell.dataset, cell.generator, cell.strategy, other.cell.strategy, name, interval, len(pairs), p, p
    )


def _value(values: Values, name: str) -> float:
    over, under = values.get(name, (0.0, 0.0))
    return over / under if under else math.nan


def as_json(run: Run, scored: Sequence[Scored]) -> dict[str, Any]:
    """Return all figures of a run as `scores.json` has them; shares are in [0, 1], not per cent."""
    found = figures(scored)
    headline = run.headline
    return {
        "suite": run.name,
        "qttrag": qttrag.__version__,
        "notes": list(run.notes),
        "headline": headline.model_dump(),
        "cells": [
            {
                **each.cell._asdict(),
                "lang": each.lang,
                "answered": len(each.answers),
                "failed": len(each.failed),
                "unscored": dict(each.causes),
                "figures": {
                    name: {**figure.interval._asdict(), "n": figure.n, "signature": figure.signature}
                    for name, figure in found[each.cell].items()
                },
            }
            for each in scored
        ],
        "comparisons": [
            {**compared._asdict(), "difference": compared.difference._asdict()}
            for compared in comparisons(scored, headline.measure, headline.over)
        ],
    }
