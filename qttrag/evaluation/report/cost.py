"""What a question costs by strategy and stage: the first time, and as this run had it with its cache."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from qttrag.evaluation.answers import AnswerRecord
from qttrag.evaluation.report.tables import Table
from qttrag.evaluation.runs.scoring import ScoredCell

_COLUMNS = [
    "strategy", "stage", "questions", "seconds", "seconds here", "calls", "calls here", "prompt tokens",
    "prompt tokens here", "completion tokens", "completion tokens here",
]  # fmt: skip
_UNKNOWN = "–"


def table(scored: Sequence[ScoredCell]) -> Table:
    """Return the means per question over all datasets and generators.

    The first figure of a pair is without a cache: seconds are charged as for the measure `seconds` (a dash where they
    are not known), cached completions count as calls with their tokens. "here" is what this run spent. Calls and tokens
    are those of language models. Energy is not measured."""
    by_strategy: dict[str, list[ScoredCell]] = defaultdict(list)
    for cell in scored:
        by_strategy[cell.cell.strategy].append(cell)
    rows = [row for strategy, cells in by_strategy.items() for row in _rows(strategy, cells)]
    return Table("cost per question, the first time and in this run", _COLUMNS, rows, [])


def _rows(strategy: str, cells: Sequence[ScoredCell]) -> Iterator[list[str]]:
    records = [record for cell in cells for record in cell.answers.values()]
    charged = [cell.seconds.get(question_id, {}) for cell in cells for question_id in cell.answers]
    for stage in dict.fromkeys(stage for record in records for stage in record.seconds):
        first = [seconds.get(stage, 0.0) for seconds in charged]
        known = [seconds for seconds in first if seconds is not None]
        seconds = f"{statistics.fmean(known):.3f}" if len(known) == len(first) else _UNKNOWN
        here = statistics.fmean(record.seconds.get(stage, 0.0) for record in records)
        tokens = [_pair(records, stage, name, f"cached_{name}") for name in ("prompt_tokens", "completion_tokens")]
        yield [
            strategy,
            stage,
            str(len(records)),
            seconds,
            f"{here:.3f}",
            *_calls(records, stage),
            *tokens[0],
            *tokens[1],
        ]


def _pair(records: Sequence[AnswerRecord], stage: str, name: str, cached: str) -> tuple[str, str]:
    """Return the mean of a count with what came from the cache, and without; dashes where there is none."""
    here, saved = (sum(_count(record.counts, stage, each) for record in records) for each in (name, cached))
    return _means(here + saved, here, len(records))


def _calls(records: Sequence[AnswerRecord], stage: str) -> tuple[str, str]:
    here = sum(_count(record.counts, stage, "calls") for record in records)
    saved = sum(
        _count(record.counts, stage, "cached")
        for record in records
        if _count(record.counts, stage, "cached_prompt_tokens")  # else what is cached is no completion
    )
    return _means(here + saved, here, len(records))


def _means(first: int, here: int, n: int) -> tuple[str, str]:
    return (f"{first / n:.1f}", f"{here / n:.1f}") if first else (_UNKNOWN, _UNKNOWN)


def _count(counts: Mapping[str, int], stage: str, name: str) -> int:
    return counts.get(f"{stage}.{name}", 0)
