"""Figures as tables of text, for the terminal, Markdown and LaTeX."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from qttrag.evaluation.document import Figure
from qttrag.evaluation.metrics.registry import measures
from qttrag.evaluation.report.reported import ReportedFigures, cells_of
from qttrag.evaluation.runs.answer_files import Cell
from qttrag.evaluation.runs.figures import Comparison
from qttrag.evaluation.runs.overlap import Overlap
from qttrag.evaluation.statistics import Interval

Figures = Mapping[Cell, Mapping[str, Figure]]
_NO_FIGURE = "–"


class Table(NamedTuple):
    """A table of text: a title, the names of the columns, the rows, and the signatures of its figures."""

    title: str
    columns: list[str]
    rows: list[list[str]]
    signatures: list[str]


def main_table(figures: Figures, measure: str, failed: Mapping[Cell, int]) -> Table:
    """Return the figures of a measure: a row per dataset and generator, a column per strategy.

    `failed`: the number of failed questions by cell. Figures leave them out; behind, with failed questions as zeros."""
    strategies = list(dict.fromkeys(cell.strategy for cell in figures))
    rows, signatures = [], []
    for dataset, generator in dict.fromkeys(cell[:2] for cell in figures):
        cells = [Cell(dataset, generator, strategy) for strategy in strategies]
        row = [figures.get(cell, {}).get(measure) for cell in cells]
        texts = [_with_failed(figure, measure, failed.get(cell, 0)) for cell, figure in zip(cells, row, strict=True)]
        rows.append([dataset, generator, _counts(row), *texts])
        signatures += [figure.signature for figure in row if figure]
    return Table(_title(measure), ["dataset", "generator", "n", *strategies], rows, signatures)


def _with_failed(figure: Figure | None, measure: str, failed: int) -> str:
    """Return "41.3 [37.0, 45.6]", and "(failed 2; as 0: 40.9)" behind it if questions failed."""
    if not failed:
        return figure_text(figure, measure)
    as_zero = f"; as 0: {figure.as_zero.value * scale(measure):.1f}" if figure and figure.as_zero else ""
    return f"{figure_text(figure, measure)} (failed {failed}{as_zero})"


def across_languages(found: Sequence[Overlap]) -> Table | None:
    """Return how far the same questions are right in two languages, a row per pair; None without parallel questions."""
    rows = [
        [each.dataset, each.generator, each.strategy, f"{each.one} {each.other}", str(each.n),
         *(interval_text(each.figures[name].interval) for name in ("overlap", "only_one", "only_other"))]
        for each in found
    ]  # fmt: skip
    columns = ["dataset", "generator", "strategy", "languages", "n", "right in both %", "first only %", "second only %"]
    signatures = [figure.signature for each in found for figure in each.figures.values()]
    return (
        Table("questions right in both languages, of those right in either", columns, rows, signatures)
        if rows
        else None
    )


def all_measures(figures: Figures, dataset: str, generator: str) -> Table:
    """Return the figures of all measures for a dataset and generator: a row per measure, a column per strategy."""
    cells = [cell for cell in figures if cell[:2] == (dataset, generator)]
    rows, signatures = [], []
    for name, measure in measures().items():
        row = [figures[cell].get(name) for cell in cells]
        if any(row):
            rows.append([_with_unit(name), *(figure_text(figure, name) for figure in row), measure.signature])
            signatures += [figure.signature for figure in row if figure]
    columns = ["measure", *(cell.strategy for cell in cells), "signature"]
    return Table(f"{dataset} · {generator}", columns, rows, signatures)


def beside_reported(figures: Figures, reported: ReportedFigures) -> Table:
    """Return our figures, the reported ones and their differences, for the cells that have both."""
    rows, signatures = [], []
    for cell, by_measure in figures.items():
        figure, published = by_measure.get(reported.measure), reported.of(cell)
        if figure and published is not None:
            difference = f"{figure.interval.value * scale(reported.measure) - published:+.1f}"
            ours = figure_text(figure, reported.measure)
            there = str(reported.n.get(cell.dataset, _NO_FIGURE))
            rows.append([*cell, str(figure.n), there, ours, f"{published:.1f}", difference])
            signatures.append(figure.signature)
    columns = ["dataset", "generator", "strategy", "n", "n there", "here", reported.source, "difference"]
    return Table(f"{_title(reported.measure)} beside {reported.source}", columns, rows, signatures)


def further_reported(figures: Figures, reported: ReportedFigures) -> Table:
    """Return the further published figures beside ours: shares such as r_lang, and mean relative gains."""
    rows, signatures = [], []
    for share in reported.shares:
        for cell in cells_of(share, list(figures)):
            if figure := figures[cell].get(share.measure):
                there, factor = share.figures[cell.dataset], scale(share.measure)
                difference = f"{figure.interval.value * factor - there:+.1f}"
                texts = [figure_text(figure, share.measure), f"{there:.1f}", difference]
                rows.append([_with_unit(share.measure), *cell, str(figure.n), *texts])
                signatures.append(figure.signature)
    values = {cell: each[reported.measure].interval.value for cell, each in figures.items() if reported.measure in each}
    for gain, here, n in reported.gains(values):
        about = [gain.dataset, f"mean of {n}", f"{gain.of} / {gain.over}"]
        rows.append(
            ["relative gain %", *about, _NO_FIGURE, f"{here:+.1f}", f"{gain.mean:+.1f}", f"{here - gain.mean:+.1f}"]
        )
    columns = ["figure", "dataset", "generator", "strategy", "n", "here", reported.source, "difference"]
    return Table(f"further figures beside {reported.source}", columns, rows, signatures)


def comparison_table(comparisons: Sequence[Comparison]) -> Table:
    """Return comparisons, one per row."""
    rows = [
        [c.dataset, c.generator, f"{c.of} – {c.over}", str(c.n), f"{c.degraded_of} – {c.degraded_over}",
         interval_text(c.difference, scale(c.measure), sign=True), f"{c.p:.4f}", f"{c.p_holm:.4f}"]
        for c in comparisons
    ]  # fmt: skip
    title = f"{_title(comparisons[0].measure)}: differences" if comparisons else "nothing to compare"
    return Table(
        title, ["dataset", "generator", "strategies", "n", "degraded", "difference", "p", "p (Holm)"], rows, []
    )


def figure_text(figure: Figure | None, measure: str) -> str:
    """Return "41.3 [37.0, 45.6]", in per cent if the measure is a share."""
    return _NO_FIGURE if figure is None else interval_text(figure.interval, scale(measure))


def interval_text(interval: Interval, factor: float = 100, *, sign: bool = False, digits: int = 1) -> str:
    """Return "41.3 [37.0, 45.6]", or a dash if there is no value."""
    if math.isnan(interval.value):
        return _NO_FIGURE
    form = f"{'+' if sign else ''}.{digits}f"
    value, low, high = (format(each * factor, form) for each in interval[:3])
    return f"{value} [{low}, {high}]"


def scale(measure: str) -> int:
    """Return what figures of a measure are multiplied by when they are shown."""
    return 100 if measures()[measure].unit == "%" else 1


def _title(measure: str) -> str:
    return f"{_with_unit(measure)}, 95 % intervals"


def _with_unit(measure: str) -> str:
    return f"{measure} %" if measures()[measure].unit else measure


def _counts(figures: Sequence[Figure | None]) -> str:
    counts = sorted({figure.n for figure in figures if figure})
    return _NO_FIGURE if not counts else str(counts[0]) if len(counts) == 1 else f"{counts[0]}-{counts[-1]}"


def markdown(tables: Sequence[Table], notes: Sequence[str] = ()) -> str:
    """Return notes and tables in Markdown, each table followed by its signatures."""
    listed = "".join(f"- {' '.join(note.split())}\n" for note in notes)
    return "\n".join([*([listed] if notes else []), *(_markdown(table) for table in tables)])


def _markdown(table: Table) -> str:
    lines = [table.columns, ["---"] * len(table.columns), *table.rows]
    text = "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |\n" for line in lines)
    signatures = "".join(f"`{signature}`  \n" for signature in table.signatures)
    return f"## {table.title}\n\n{text}\n{signatures}"


def latex(tables: Sequence[Table]) -> str:
    """Return tables in LaTeX (booktabs), the signatures as comments."""
    return "\n".join(_latex(table) for table in tables)


def _latex(table: Table) -> str:
    lines = [" & ".join(map(_escaped, line)) + r" \\" for line in (table.columns, *table.rows)]
    return "\n".join(
        [
            f"% {table.title}",
            *(f"% {signature}" for signature in table.signatures),
            rf"\begin{{tabular}}{{{'l' * len(table.columns)}}}",
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
