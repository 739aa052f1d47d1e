"""Figures as tables: for the terminal, Markdown and LaTeX, alone or beside reported ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict, ValidationError

from qttrag import resources
from qttrag.config import yaml_files
from qttrag.errors import ConfigError
from qttrag.evaluation.metrics.registry import MEASURES, check
from qttrag.evaluation.runs.answer_files import Cell
from qttrag.evaluation.runs.scoring import Comparison, Figure
from qttrag.evaluation.statistics import Interval

Figures = Mapping[Cell, Mapping[str, Figure]]
_NONE = "–"


class Grid(NamedTuple):
    """A table of words: a title, the columns' names, the rows, and the signatures of its figures."""

    title: str
    columns: list[str]
    rows: list[list[str]]
    signatures: list[str]


class Reported(BaseModel):
    """Figures that somebody published. `figures`: by dataset and generator, in the order of `strategies`; shares in
    per cent."""

    model_config = ConfigDict(extra="forbid")
    source: str
    measure: str
    strategies: list[str]
    figures: dict[str, dict[str, list[float]]]

    def of(self, cell: Cell) -> float | None:
        """Return the figure reported for a cell, None where there is none."""
        row = self.figures.get(cell.dataset, {}).get(cell.generator)
        if row is None or cell.strategy not in self.strategies:
            return None
        return row[self.strategies.index(cell.strategy)]


def reported(value: str) -> Reported:
    """Return the figures in the file `value`, or of that name in `eval/reported/`.

    Raises:
        ConfigError: there is no such file, or it is not as it must be."""
    path = resources.find("eval/reported", value, what="file of reported figures")
    try:
        read = Reported.model_validate(yaml_files.read_yaml(path))
    except ValidationError as error:
        raise ConfigError(yaml_files.explain(error, str(path), Reported.model_fields)) from error
    check(read.measure)
    if any(len(row) != len(read.strategies) for rows in read.figures.values() for row in rows.values()):
        raise ConfigError(f"{path}: each row of `figures:` must have {len(read.strategies)} figures, as `strategies:`")
    return read


def main_table(figures: Figures, measure: str) -> Grid:
    """Return the measure's figures: a row for a dataset and generator, a column for a strategy."""
    strategies = list(dict.fromkeys(cell.strategy for cell in figures))
    rows, signatures = [], []
    for place in dict.fromkeys(cell[:2] for cell in figures):
        found = [figures.get(Cell(*place, strategy), {}).get(measure) for strategy in strategies]
        rows.append([*place, _n(found), *(shown(figure, measure) for figure in found)])
        signatures += [figure.signature for figure in found if figure]
    return Grid(titled(measure), ["dataset", "generator", "n", *strategies], rows, signatures)


def all_measures(figures: Figures, dataset: str, generator: str) -> Grid:
    """Return every measure's figures for a dataset and generator: a row for a measure, a column for a strategy."""
    cells = [cell for cell in figures if cell[:2] == (dataset, generator)]
    rows, signatures = [], []
    for measure in MEASURES:
        found = [figures[cell].get(measure) for cell in cells]
        if any(found):
            rows.append([_named(measure), *(shown(figure, measure) for figure in found), MEASURES[measure].signature])
            signatures += [figure.signature for figure in found if figure]
    columns = ["measure", *(cell.strategy for cell in cells), "signature"]
    return Grid(f"{dataset} · {generator}", columns, rows, signatures)


def against(figures: Figures, theirs: Reported) -> Grid:
    """Return our figures beside the reported ones, with the difference, for the cells that both have."""
    rows, signatures = [], []
    for cell, found in figures.items():
        figure, published = found.get(theirs.measure), theirs.of(cell)
        if figure and published is not None:
            scale = 100 if MEASURES[theirs.measure].unit == "%" else 1
            difference = f"{figure.interval.value * scale - published:+.1f}"
            rows.append([*cell, str(figure.n), shown(figure, theirs.measure), f"{published:.1f}", difference])
            signatures.append(figure.signature)
    columns = ["dataset", "generator", "strategy", "n", "here", theirs.source, "difference"]
    return Grid(f"{titled(theirs.measure)} beside {theirs.source}", columns, rows, signatures)


def comparison_table(compared: Sequence[Comparison]) -> Grid:
    """Return comparisons, a row each."""
    rows = [
        [c.dataset, c.generator, f"{c.of} – {c.over}", str(c.n), _interval(c.difference, c.measure, sign=True),
         f"{c.p:.4f}", f"{c.p_holm:.4f}"]
        for c in compared
    ]  # fmt: skip
    title = f"{titled(compared[0].measure)}: differences" if compared else "nothing to compare"
    return Grid(title, ["dataset", "generator", "strategies", "n", "difference", "p", "p (Holm)"], rows, [])


def titled(measure: str) -> str:
    return f"{_named(measure)}, 95 % intervals"


def shown(figure: Figure | None, measure: str) -> str:
    """Return "41.3 [37.0, 45.6]", in per cent where the measure is a share."""
    return _NONE if figure is None else _interval(figure.interval, measure)


def _interval(interval: Interval, measure: str, *, sign: bool = False) -> str:
    scale = 100 if MEASURES[measure].unit == "%" else 1
    value, low, high = (each * scale for each in interval)
    return f"{value:+.1f} [{low:+.1f}, {high:+.1f}]" if sign else f"{value:.1f} [{low:.1f}, {high:.1f}]"


def _named(measure: str) -> str:
    return f"{measure} %" if MEASURES[measure].unit else measure


def _n(found: Sequence[Figure | None]) -> str:
    counts = sorted({figure.n for figure in found if figure})
    return _NONE if not counts else str(counts[0]) if len(counts) == 1 else f"{counts[0]}-{counts[-1]}"


def markdown(grids: Sequence[Grid]) -> str:
    """Return tables in Markdown, the signatures below each."""
    return "\n".join(_markdown(grid) for grid in grids)


def _markdown(grid: Grid) -> str:
    lines = [grid.columns, ["---"] * len(grid.columns), *grid.rows]
    table = "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |\n" for line in lines)
    signatures = "".join(f"`{signature}`  \n" for signature in grid.signatures)
    return f"## {grid.title}\n\n{table}\n{signatures}"


def latex(grids: Sequence[Grid]) -> str:
    """Return tables in LaTeX (booktabs), the signatures as comments."""
    return "\n".join(_latex(grid) for grid in grids)


def _latex(grid: Grid) -> str:
    lines = [" & ".join(map(_escaped, line)) + r" \\" for line in (grid.columns, *grid.rows)]
    return "\n".join(
        [
            f"% {grid.title}",
            *(f"% {signature}" for signature in grid.signatures),
            rf"\begin{{tabular}}{{{'l' * len(grid.columns)}}}",
            r"\toprule",
            lines[0],
            r"\midrule",
            *lines[1:],
            r"\bottomrule",
            r"\end{tabular}",
            "",
        ]
    )


_LATEX = str.maketrans(
    {"\\": r"\textbackslash{}", "_": r"\_", "%": r"\%", "&": r"\&", "#": r"\#", "$": r"\$", "{": r"\{", "}": r"\}",
     "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "–": "--"}
)  # fmt: skip


def _escaped(text: str) -> str:
    return text.translate(_LATEX)
