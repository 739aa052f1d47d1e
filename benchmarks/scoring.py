"""Scoring many predictions with all measures and intervals, against the plain way: `python -m benchmarks.scoring`."""

from __future__ import annotations

import json
import random
import statistics
import string
import time
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import typer

from qttrag.cli.output import console, table
from qttrag.evaluation.datasets.questions import Question
from qttrag.evaluation.metrics import bergen
from qttrag.evaluation.metrics.registry import Answered, measure
from qttrag.evaluation.runs.answer_files import Cell, Record
from qttrag.evaluation.runs.scoring import Scored, figures
from qttrag.evaluation.statistics import RESAMPLES
from qttrag.text.languages import language
from qttrag.types import Lang, Passage, QualityScores, TaggedPassage
from tests.texts import paragraph

GOLDEN = Path(__file__).parent.parent / "tests" / "golden" / "answers.jsonl"
_PLAIN_RESAMPLES = 20  # of 10,000, which the plain way would take some minutes for


def _made(n: int) -> list[Answered]:
    """Return `n` answers to golden references in 12 languages, each from five passages, three of them translated."""
    rows = [json.loads(line) for line in GOLDEN.read_text("utf-8").splitlines()]
    scores = QualityScores(4.5, 4.0, 3.5)
    contexts = [
        tuple(
            TaggedPassage(
                Passage(f"{k}-{p}", paragraph("en", 5, seed=k * 5 + p), Lang("en" if p < 3 else "ko")),
                translation=paragraph("ko", 5, seed=k * 5 + p) if p < 3 else None,
                scores=scores if p < 3 else None,
            )
            for p in range(5)
        )
        for k in range(200)
    ]
    made = []
    for number in range(n):
        row = rows[number % len(rows)]
        question = Question(str(number), "?", language(row["lang"]).code, tuple(row["references"]))
        said = f"{row['prediction']} {number}" if number >= len(rows) else row["prediction"]
        made.append(Answered(question, Record(str(number), said, contexts[number % 200]), "mkqa"))
    return made


def _all_at_once(made: Sequence[Answered]) -> None:
    values = {each.question.question_id: measure(each) for each in made}
    answers = {each.question.question_id: each.record for each in made}
    figures([Scored(Cell("made", "own", "base"), "ko", "format:mkqa", answers, values, {})])


def _plain(made: Sequence[Answered]) -> list[float]:
    """Return character 3-gram recall as METHOD words it, one answer after another."""
    return [max(_recall(a.record.text or "", gold) for gold in a.question.answers) for a in made]


def _recall(said: str, gold: str) -> float:
    wanted, found = _grams(bergen.normalise(gold)), _grams(bergen.normalise(said))
    left, common = Counter(found), 0
    for gram in wanted:
        if left[gram] > 0:
            left[gram] -= 1
            common += 1
    return common / len(wanted) if wanted else 0.0


def _grams(text: str) -> list[str]:
    words = "".join(" " if c in string.punctuation else c for c in text.lower()).split()
    return [gram for w in words for gram in ([w] if len(w) < 3 else [w[i : i + 3] for i in range(len(w) - 2)])]


def _plain_interval(values: Sequence[float]) -> None:
    draw = random.Random(0)
    sorted(statistics.fmean(draw.choices(values, k=len(values))) for _ in range(_PLAIN_RESAMPLES))


def _seconds(work: Callable[[], object]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def main(
    n: int = typer.Option(100_000, help="Predictions."),
    rounds: int = typer.Option(3, help="How often both ways are run, in turn."),
) -> None:
    """Score N predictions both ways and print the seconds of processor time of each, and their ratio.

    Ours: every measure, and 10,000 resamples for each. Plain: one measure, one interval; its resamples are scaled up
    from 20."""
    made = _made(n)
    _all_at_once(made[:1000])
    runs = []
    for _ in range(rounds):
        ours = _seconds(partial(_all_at_once, made))
        one = _seconds(partial(_plain, made))
        values = _plain(made)
        interval = _seconds(partial(_plain_interval, values)) * RESAMPLES / _PLAIN_RESAMPLES
        runs.append((ours, one, interval, (one + interval) / ours))
    ours, one, interval, ratio = (statistics.median(column) for column in zip(*runs, strict=True))
    rows = [
        ["ours: all measures, with intervals", f"{ours:.1f}"],
        ["plain: char3 alone", f"{one:.1f}"],
        ["plain: its interval alone (scaled up)", f"{interval:.1f}"],
        ["plain over ours, times", f"{ratio:.1f}"],
    ]
    console().print(table(f"{n:,} predictions", "CPU seconds", rows=rows))


if __name__ == "__main__":
    app = typer.Typer(pretty_exceptions_enable=False)
    app.command()(main)
    app()
