"""Factual consistency across languages: which questions are answered right in two languages, of parallel questions.

As in the released code of arXiv:2502.12476: overlap is the number of questions right in both languages, over those
right in at least one (Jaccard); those right in one language alone are over the same number. Questions are paired by
their ids, which are the same in all languages in MKQA, XQuAD, MLQA, Mintaka and Belebele."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

import qttrag
from qttrag.evaluation.document import Figure
from qttrag.evaluation.metrics.registry import Values, measures
from qttrag.evaluation.runs.scoring import ScoredCell
from qttrag.evaluation.statistics import wilson

if TYPE_CHECKING:
    from qttrag.evaluation.statistics import Floats

_RIGHT = ("choice", "match_fair")  # the first that an answer has says whether it is right


class Overlap(NamedTuple):
    """The overlap of two languages of a dataset on the `n` questions that were answered in both."""

    dataset: str
    generator: str
    strategy: str
    one: str
    other: str
    n: int
    figures: dict[str, Figure]
    """"overlap", "only_one", "only_other"; NaN if no question is right in either."""


def overlaps(scored: Sequence[ScoredCell]) -> list[Overlap]:
    """Return the overlap of each pair of languages of a dataset, generator and strategy, if they have common ids."""
    groups: dict[tuple[str, str, str], list[ScoredCell]] = defaultdict(list)
    for cell in scored:
        name = cell.cell.dataset.rpartition(" ")[0]  # a row is "DATASET LANG"
        groups[name, cell.cell.generator, cell.cell.strategy].append(cell)
    return [
        overlap
        for names, cells in groups.items()
        for one, other in itertools.combinations(cells, 2)
        for overlap in _overlap(names, one, other)
    ]


def _overlap(names: tuple[str, str, str], one: ScoredCell, other: ScoredCell) -> Iterator[Overlap]:
    import numpy as np

    measure = next((name for name in _RIGHT if any(name in values for values in one.values.values())), None)
    ids = sorted(one.values.keys() & other.values.keys())
    pairs = [(_right(one.values[i], measure), _right(other.values[i], measure)) for i in ids] if measure else []
    known = np.array([pair for pair in pairs if None not in pair], np.float64).reshape(-1, 2)
    if not len(known):
        return
    first, second = known.T
    either = np.maximum(first, second)
    shares: dict[str, Floats] = {
        "overlap": first * second, "only_one": first * (1 - second), "only_other": second * (1 - first)
    }  # fmt: skip
    about = f"right:{measures()[str(measure)].signature}|of:right-in-either|langs:{one.lang},{other.lang}"
    rest = "|data:{}|generator:{}|strategy:{}".format(*names)
    figures = {
        name: Figure(
            wilson(over, either), n := int(either.sum()), f"{name}|{about}{rest}|n:{n}|ci:wilson|v:{qttrag.__version__}"
        )
        for name, over in shares.items()
    }
    yield Overlap(*names, one.lang, other.lang, len(known), figures)


def _right(values: Values, measure: str | None) -> float | None:
    over, under = values.get(str(measure), (0.0, 0.0))
    return over / under if under else None
