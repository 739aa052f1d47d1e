"""How figures depend on the filter's threshold, on scores, and on passages in other languages."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

from qttrag.evaluation.report.tables import Figures, Table, figure_text, interval_text, scale
from qttrag.evaluation.runs.answer_files import Cell
from qttrag.evaluation.runs.figures import RIGHT, value
from qttrag.evaluation.runs.folder import Run
from qttrag.evaluation.runs.scoring import ScoredCell
from qttrag.evaluation.statistics import paired_difference
from qttrag.strategies.hard_filter import THRESHOLD, is_dropped
from qttrag.types import TaggedPassage

THRESHOLDS = tuple(step / 2 for step in range(2, 11))  # 1.0 to 5.0
_FILTER = "hard_filter"
_SCORED = "qtt_rag"


def tables(run: Run, scored: Sequence[ScoredCell], figures: Figures) -> list[Table]:
    """Return the tables that a run has answers for: thresholds, scores by language and outcome, gains by r_lang."""
    measured = [cell for cell in scored if _is_measured(run, cell.cell.strategy) and _translations(cell)]
    found = [
        Table("the filter by its threshold", _THRESHOLD_COLUMNS, list(_thresholds(run, measured, figures)), []),
        Table("scores by language and outcome", _SCORE_COLUMNS, list(_scores(run, measured)), []),
        Table("gain by passages in another language", _GAIN_COLUMNS, list(_gains(run, scored)), []),
    ]
    return [table for table in found if table.rows]


def _row(run: Run, strategy: str) -> Mapping[str, Any]:
    row: Mapping[str, Any] = run.identity["suite"]["strategies"].get(strategy, {})
    return {"strategy": strategy, **row}


def _is_measured(run: Run, strategy: str) -> bool:
    """Return whether a row is `qtt_rag` with its measured scores, on the passages of the deployment."""
    row = _row(run, strategy)
    own = {key for key in row if key not in ("strategy", "tags", "tag_place", "tag_form")}
    return row["strategy"] == _SCORED and row.get("tags", True) is True and not own


def _translations(cell: ScoredCell) -> list[TaggedPassage]:
    return [p for answer in cell.answers.values() for p in answer.context if p.translation is not None]


_THRESHOLD_COLUMNS = [
    "dataset", "generator", "threshold", "translations", "kept, all below drop %", "kept, any below drops %",
    "filtered by all", "filtered by any",
]  # fmt: skip


def _thresholds(run: Run, measured: Sequence[ScoredCell], figures: Figures) -> Iterator[list[str]]:
    """Yield the share of translations that each threshold keeps, from the scores of the first row, and the figures of
    the rows of `hard_filter` with this threshold."""
    for cell in _first_of_each(measured):
        translations = _translations(cell)
        for threshold in THRESHOLDS:
            kept = [_kept(translations, drop, threshold) for drop in ("all", "any")]
            answered = [_filtered(run, cell.cell, figures, drop, threshold) for drop in ("all", "any")]
            yield [*cell.cell[:2], f"{threshold:.1f}", str(len(translations)), *(f"{k:.1f}" for k in kept), *answered]


def _first_of_each(cells: Sequence[ScoredCell]) -> list[ScoredCell]:
    return list({cell.cell[:2]: cell for cell in reversed(cells)}.values())[::-1]


def _kept(translations: Sequence[TaggedPassage], drop: Literal["all", "any"] | str, threshold: float) -> float:
    """Return the share of translations that the filter keeps, in per cent; unscored ones as in `hard_filter`."""
    kept = sum(not is_dropped(p, "all" if drop == "all" else "any", threshold) for p in translations)
    return 100 * kept / len(translations)


def _filtered(run: Run, place: Cell, figures: Figures, drop: str, threshold: float) -> str:
    measure = run.headline.measure
    for cell, by_measure in figures.items():
        row = _row(run, cell.strategy)
        here = row["strategy"] == _FILTER and cell[:2] == place[:2] and not row.get("refill")
        if here and (row.get("drop", "all"), row.get("threshold", THRESHOLD)) == (drop, threshold):
            return figure_text(by_measure.get(measure), measure)
    return "–"


_SCORE_COLUMNS = ["dataset", "generator", "languages", "answer", "translations", "mean", "quartiles", "below 3.5 %"]


def _scores(run: Run, measured: Sequence[ScoredCell]) -> Iterator[list[str]]:
    """Yield the distribution of the mean score of translations, by their languages and whether the answer is right."""
    for cell in _first_of_each(measured):
        groups: dict[tuple[str, str], list[float]] = defaultdict(list)
        for question_id, answer in cell.answers.items():
            right = value(cell.values[question_id], run.headline.measure) >= RIGHT
            for p in answer.context:
                if p.scores is not None:
                    key = (f"{p.passage.lang} → {cell.lang}", "right" if right else "wrong")
                    groups[key].append(statistics.fmean(p.scores.values()))
        for (langs, outcome), means in sorted(groups.items()):
            low = 100 * sum(mean < THRESHOLD for mean in means) / len(means)
            middle = statistics.quantiles(means, n=4) if len(means) > 1 else means * 3
            quartiles = " / ".join(f"{each:.2f}" for each in middle)
            average = f"{statistics.fmean(means):.2f}"
            yield [*cell.cell[:2], langs, outcome, str(len(means)), average, quartiles, f"{low:.1f}"]


_GAIN_COLUMNS = ["dataset", "generator", "strategies", "r_lang", "n", "gain", "p"]
_BUCKETS = (("none", 0.0, 0.0), ("up to a third", 0.0, 1 / 3), ("up to two thirds", 1 / 3, 2 / 3), ("more", 2 / 3, 1.0))


def _gains(run: Run, scored: Sequence[ScoredCell]) -> Iterator[list[str]]:
    """Yield the gain of the headline's strategy over the other, by the share of passages in another language.

    The p-values are of one comparison each, without correction."""
    headline = run.headline
    by_cell = {cell.cell: cell for cell in scored}
    for cell in scored:
        other = by_cell.get(cell.cell._replace(strategy=headline.over))
        if cell.cell.strategy != headline.of or other is None:
            continue
        groups: dict[str, list[tuple[float, float]]] = defaultdict(list)
        for question_id in sorted(cell.values.keys() & other.values.keys()):
            both = (cell.values[question_id], other.values[question_id])
            share = value(both[0], "r_lang")
            if share == share and all(headline.measure in values for values in both):  # no NaN
                groups[bucket(share)].append((value(both[0], headline.measure), value(both[1], headline.measure)))
        for name, *_ in _BUCKETS:
            if pairs := groups.get(name):
                gain, p = paired_difference(pairs)
                text = interval_text(gain, scale(headline.measure), sign=True)
                yield [*cell.cell[:2], f"{headline.of} – {headline.over}", name, str(len(pairs)), text, f"{p:.4f}"]


def bucket(share: float) -> str:
    """Return the name of the group of a share of passages in another language; a bound belongs to the lower group."""
    return next(name for name, _, highest in _BUCKETS if share <= highest + 1e-9)
