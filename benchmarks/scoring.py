"""Scoring many predictions with all measures and intervals, against a plain loop: `python -m benchmarks.scoring`."""

from __future__ import annotations

import random
import statistics
import string
import time
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial

import typer

from qttrag.cli.output import console, table
from qttrag.evaluation.answers import AnswerRecord
from qttrag.evaluation.datasets import Question
from qttrag.evaluation.metrics import AnswerCase, QuestionSet, bergen
from qttrag.evaluation.metrics.registry import evaluate
from qttrag.evaluation.runs.answer_files import Cell
from qttrag.evaluation.runs.figures import figures
from qttrag.evaluation.runs.folder import References
from qttrag.evaluation.runs.scoring import ScoredCell
from qttrag.evaluation.statistics import RESAMPLES
from qttrag.text.languages import language
from qttrag.types import Lang, Passage, QualityScores, TaggedPassage
from tests import golden
from tests.texts import paragraph

_PLAIN_RESAMPLES = 20  # scaled up to 10,000, which would take the plain loop some minutes


def _cases(n: int) -> list[AnswerCase]:
    """Return `n` answers to golden references in 12 languages, each from five passages, three of them translated."""
    rows = golden.answers()
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
    cases = []
    question_set = QuestionSet("mkqa", [])
    for number in range(n):
        row = rows[number % len(rows)]
        question = Question(str(number), "?", language(row["lang"]).code, tuple(row["references"]))
        prediction = f"{row['prediction']} {number}" if number >= len(rows) else row["prediction"]
        answer = AnswerRecord(str(number), prediction, contexts[number % 200])
        cases.append(AnswerCase(question, answer, question_set))
    return cases


def _all_measures(cases: Sequence[AnswerCase]) -> None:
    values = {case.question.question_id: evaluate(case) for case in cases}
    answers = {case.question.question_id: case.answer for case in cases}
    figures(
        [ScoredCell(Cell("made", "own", "base"), "ko", References("format:mkqa", "format:mkqa"), answers, values, {})]
    )


def _plain(cases: Sequence[AnswerCase]) -> list[float]:
    """Return the character 3-gram recall of each answer, by a plain loop."""
    return [max(_recall(case.prediction, reference) for reference in case.question.answers) for case in cases]


def _recall(prediction: str, reference: str) -> float:
    expected, predicted = _grams(bergen.normalise(reference)), _grams(bergen.normalise(prediction))
    left, common = Counter(predicted), 0
    for gram in expected:
        if left[gram] > 0:
            left[gram] -= 1
            common += 1
    return common / len(expected) if expected else 0.0


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
    rounds: int = typer.Option(3, help="How many times both are run, in turn."),
) -> None:
    """Score N predictions both ways and print the processor time of each and their ratio.

    Ours: all measures with 10,000 resamples each. Plain: one measure and one interval, with 20 resamples scaled up."""
    cases = _cases(n)
    _all_measures(cases[:1000])
    runs = []
    for _ in range(rounds):
        ours = _seconds(partial(_all_measures, cases))
        one = _seconds(partial(_plain, cases))
        values = _plain(cases)
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
