"""Figures and their JSON form, one for the commands of `qttrag eval`; `qttrag eval schema` prints its JSON Schema."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

import qttrag
from qttrag.evaluation.statistics import Interval, IntervalMethod


class Figure(NamedTuple):
    """The figure of a measure over the `n` questions or texts that it can tell something about, with its signature."""

    interval: Interval
    n: int
    signature: str
    as_zero: Interval | None = None
    """The figure with every failed question counted as zero; None if none failed, or zero would mean nothing."""


class AsZero(BaseModel):
    """A figure with every failed question counted as zero."""

    model_config = ConfigDict(extra="forbid")
    value: float
    low: float
    high: float


class FigureEntry(BaseModel):
    """A figure and its 95 % interval; null if nothing can be told. Shares are in [0, 1], not per cent."""

    model_config = ConfigDict(extra="forbid")
    value: float | None
    low: float | None
    high: float | None
    method: IntervalMethod = Field(description="how the interval was computed")
    n: int = Field(description="how many questions or texts the figure is over")
    signature: str = Field(description="the exact definition of the figure")
    as_zero: AsZero | None = Field(default=None, description="with failed questions as zeros; `value` leaves them out")


class CellEntry(BaseModel):
    """The figures of one cell by measure. Further texts say what the cell is of; further numbers are counts."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, str | int | dict[str, int] | list[str]] = Field(init=False)
    figures: dict[str, FigureEntry]


class ComparisonEntry(BaseModel):
    """The difference between two cells on the `n` questions that both answered, with its p-values."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, str | int] = Field(init=False)
    measure: str
    difference: FigureEntry
    p: float
    p_holm: float = Field(description="corrected for all comparisons of the document")


class Document(BaseModel):
    """What a command of `qttrag eval` prints with --json."""

    model_config = ConfigDict(extra="forbid")
    layout: Literal[1] = 1
    qttrag: str = qttrag.__version__
    command: str
    suite: str | None = None
    headline: dict[str, str] | None = None
    notes: list[str] = []
    cells: list[CellEntry] = []
    comparisons: list[ComparisonEntry] = []
    overlaps: list[CellEntry] = Field(default=[], description="questions right in two languages, by pair of languages")


def entry(figure: Figure) -> FigureEntry:
    value, low, high = (None if math.isnan(each) else each for each in figure.interval[:3])
    zero = figure.as_zero
    as_zero = None if zero is None else AsZero(value=zero.value, low=zero.low, high=zero.high)
    return FigureEntry(
        value=value,
        low=low,
        high=high,
        method=figure.interval.method,
        n=figure.n,
        signature=figure.signature,
        as_zero=as_zero,
    )


def cell(figures: Mapping[str, Figure], **about: Any) -> CellEntry:
    return CellEntry.model_validate({**about, "figures": {name: entry(figure) for name, figure in figures.items()}})
