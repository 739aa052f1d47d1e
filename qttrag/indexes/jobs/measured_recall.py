"""How often searches return the exact best passages: trials of search plans, their choice and their record.

One form for built indexes (`indexes.jobs.tune`) and for vector databases (`stores.recall`)."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MIN_GAIN = 0.0005  # in recall; if doubling the effort gains less, more effort does not help
P = TypeVar("P")


class QuerySample(NamedTuple):
    """Queries for measuring: unit vectors, float32. `own_rows`: per query, the row it was made from, which does not
    count as a hit. `description`: for the manifest."""

    vectors: NDArray[np.float32]
    own_rows: NDArray[np.int64] | None
    description: str


class Trial(NamedTuple, Generic[P]):
    """A plan with its mean recall, the standard error, and the median milliseconds of a query, searched alone."""

    plan: P
    recall: float
    error: float
    ms: float

    @classmethod
    def of(cls, plan: P, recalls: Sequence[float], seconds: Sequence[float]) -> Trial[P]:
        """Return the trial in which each query had this recall and took these seconds."""
        mean = statistics.fmean(recalls)
        error = (statistics.pvariance(recalls, mean) / len(recalls)) ** 0.5
        return Trial(plan, mean, error, sorted(seconds)[len(seconds) // 2] * 1000)

    def reaches(self, recall: float) -> bool:
        """Return whether the recall is reached by more than the standard error, so that other queries reach it too."""
        return self.recall - self.error >= recall


def fastest(trials: Sequence[Trial[P]], target: float) -> Trial[P]:
    """Return the fastest trial that reaches the recall `target`; if none does, the one with the highest recall."""
    sufficient = [trial for trial in trials if trial.reaches(target)]
    return min(sufficient, key=lambda t: t.ms) if sufficient else max(trials, key=lambda t: (t.recall, -t.ms))


def record(trial: Trial[Any], sample: QuerySample, *, target: float, k: int) -> dict[str, Any]:
    """Return what manifests say of a measured recall, beside the plan itself."""
    return {
        "k": k,
        "recall": round(trial.recall, 5),
        "error": round(trial.error, 5),
        "wanted": target,
        "queries": len(sample.vectors),
        "sample": sample.description,
        "ms": round(trial.ms, 3),
        "measured": datetime.now(UTC).isoformat(timespec="seconds"),
    }
