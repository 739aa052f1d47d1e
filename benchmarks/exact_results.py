"""The questions of a benchmark and the scores of their exact best passages, in a file between its steps."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmarks.clusters import Floats

_FILE = "exact.npz"


class ExactResults(NamedTuple):
    """`questions`: unit vectors, a row each. `scores`: of the exact best of each, best first."""

    questions: Floats
    scores: Floats


def save(home: Path, results: ExactResults, *, file: str = _FILE) -> dict[str, float]:
    """Write the results; return the median cosines of the best and of the last passage."""
    np.savez(home / file, questions=results.questions, scores=results.scores)
    best, last = np.median(results.scores[:, 0]), np.median(results.scores[:, -1])
    return {"best": float(best), "fiftieth": float(last)}


def load(home: Path, *, file: str = _FILE) -> ExactResults:
    stored = np.load(home / file)
    return ExactResults(stored["questions"], stored["scores"])
