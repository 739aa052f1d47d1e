"""The charts of a run's report."""

from __future__ import annotations

import math
import statistics
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence

from qttrag.evaluation.report.charts import Bar, bars, stacked
from qttrag.evaluation.report.tables import Figures, scale
from qttrag.evaluation.runs.figures import value
from qttrag.evaluation.runs.folder import Run
from qttrag.evaluation.runs.scoring import ScoredCell
from qttrag.evaluation.statistics import bootstrap
from qttrag.types import CRITERIA


def charts(run: Run, name: str, group: Sequence[ScoredCell], figures: Figures) -> Iterator[str]:
    """Yield the charts of the cells of one dataset and generator, called `name`, as SVG."""
    headline = run.headline
    by_strategy = {cell.cell.strategy: cell for cell in group}
    yield bars(f"{name}: {headline.measure} by strategy", _by_strategy(group, figures, headline.measure))
    if of := by_strategy.get(headline.of):
        for criterion, bins in _score_histograms(of):
            yield bars(f"{name}: {criterion} scores of translations", bins)
        yield bars(f"{name}: {headline.measure} of {headline.of} by mean score", _by_mean_score(of, headline.measure))
        if over := by_strategy.get(headline.over):
            title = f"{name}: gain of {headline.of} over {headline.over} by passages in another language"
            yield bars(title, _gain_by_foreign_passages(of, over, headline.measure))
    seconds = {strategy: _seconds_by_stage(cell) for strategy, cell in by_strategy.items()}
    yield stacked(f"{name}: seconds per question, by stage", seconds)


def across_rows(measure: str, scored: Sequence[ScoredCell], figures: Figures) -> Iterator[str]:
    """Yield charts that compare the datasets of a run in one language, one chart per measure, language, generator and
    strategy: the measure, and the shares of answers in another language. None if a language has one dataset."""
    groups: dict[tuple[str, str, str], list[ScoredCell]] = defaultdict(list)
    for cell in scored:
        groups[cell.lang, cell.cell.generator, cell.cell.strategy].append(cell)
    for (lang, generator, strategy), cells in groups.items():
        for name in dict.fromkeys((measure, "correct_language", "wrong_language")):
            found = {c.cell.dataset: figures[c.cell][name].interval for c in cells if name in figures[c.cell]}
            if len(cells) > 1 and found:
                factor = scale(name)
                rows = [Bar(row, i.value * factor, i.low * factor, i.high * factor) for row, i in found.items()]
                yield bars(f"{lang} · {generator} · {strategy}: {name} by dataset", rows)


def _by_strategy(group: Sequence[ScoredCell], figures: Figures, measure: str) -> list[Bar]:
    factor = scale(measure)
    intervals = {c.cell.strategy: figures[c.cell][measure].interval for c in group if measure in figures[c.cell]}
    return [Bar(strategy, i.value * factor, i.low * factor, i.high * factor) for strategy, i in intervals.items()]


def _score_histograms(scored: ScoredCell) -> Iterator[tuple[str, list[Bar]]]:
    """Yield the number of translations by score for each criterion, in steps of a half."""
    scores = [p.scores for answer in scored.answers.values() for p in answer.context if p.scores is not None]
    for criterion in CRITERIA:
        counts = Counter(math.floor(s[criterion] * 2) / 2 for each in scores if criterion in (s := each.measured()))
        if counts:
            yield criterion, [Bar(f"{step / 2:.1f}", counts[step / 2]) for step in range(11)]


def _by_mean_score(scored: ScoredCell, measure: str) -> list[Bar]:
    """Return the measure by the mean score of the translations in the context."""
    values: dict[str, list[float]] = defaultdict(list)
    for question_id, answer in scored.answers.items():
        scores = [statistics.fmean(p.scores.values()) for p in answer.context if p.scores is not None]
        if scores:
            low = min(4, math.floor(statistics.fmean(scores)))
            values[f"{low} to {low + 1}"].append(value(scored.values[question_id], measure))
    return _means(values, measure)


def _gain_by_foreign_passages(of: ScoredCell, over: ScoredCell, measure: str) -> list[Bar]:
    """Return the gain of one strategy over another by the number of passages in another language."""
    gains: dict[str, list[float]] = defaultdict(list)
    for question_id in of.values.keys() & over.values.keys():
        foreign, read = of.values[question_id].get("r_lang", (0.0, 0.0))
        gain = value(of.values[question_id], measure) - value(over.values[question_id], measure)
        gains[f"{foreign:.0f} of {read:.0f}"].append(gain)
    return _means(gains, measure)


def _means(values: Mapping[str, Sequence[float]], measure: str) -> list[Bar]:
    import numpy as np

    factor = scale(measure)
    means = []
    for label, group in sorted(values.items()):
        known = np.array([[number * factor] for number in group if not math.isnan(number)])
        if len(known):
            (interval,) = bootstrap(known, np.ones_like(known))
            means.append(Bar(label, interval.value, interval.low, interval.high, note=f"n {len(known)}"))
    return means


def _seconds_by_stage(scored: ScoredCell) -> dict[str, float]:
    """Return the mean seconds that are charged to each stage, over the questions for which they are known."""
    by_stage: dict[str, list[float]] = defaultdict(list)
    for charged in scored.seconds.values():
        for stage, seconds in charged.items():
            by_stage[stage] += [] if seconds is None else [seconds]
    return {stage: max(0.0, statistics.fmean(seconds)) for stage, seconds in by_stage.items() if seconds}
