"""Does the generator use the scores? The measured ones beside the controls of `qtt_rag`, with paired tests."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from qttrag.evaluation.report.tables import Figures, Table, figure_text, interval_text, scale
from qttrag.evaluation.runs import figures
from qttrag.evaluation.runs.answer_files import Cell
from qttrag.evaluation.runs.figures import Comparison
from qttrag.evaluation.runs.folder import Run
from qttrag.evaluation.runs.scoring import ScoredCell
from qttrag.text.matching import normalise

_LEVEL = 0.05  # of significance, after Holm's correction
_STRATEGY = "qtt_rag"
_MEASURED = "measured"
_NONE = "none"  # `tags: false`


class Findings(NamedTuple):
    """A table of all controls, and a sentence for each dataset and generator; both empty without controls."""

    tables: list[Table]
    sentences: list[str]


def findings(run: Run, scored: Sequence[ScoredCell], by_cell: Figures) -> Findings:
    """Return what the tag controls of a run say, by the measure of its headline.

    Controls are rows of `qtt_rag` that differ from its measured row in `tags` alone. Each is compared with the measured
    scores; Holm's correction is for all comparisons of one dataset and generator."""
    names, measure = _controls(run.identity["suite"]["strategies"]), run.headline.measure
    if _MEASURED not in names or len(names) < 2:
        return Findings([], [])
    rows, sentences = [], []
    for place in dict.fromkeys(cell.cell[:2] for cell in scored):
        cells = {name: cell for name, row in names.items() for cell in scored if cell.cell == Cell(*place, row)}
        if _MEASURED not in cells or len(cells) < 2:
            continue
        others = {name: cell for name, cell in cells.items() if name != _MEASURED}
        compared = figures.compare([(cells[_MEASURED], cell) for cell in others.values()], measure)
        by_name = {name: c for name, cell in others.items() for c in compared if c.over == cell.cell.strategy}
        rows += list(_rows(place, cells, by_name, by_cell, measure))
        sentences.append(f"{' · '.join(place)}: {sentence(by_name)}")
    columns = [
        "dataset", "generator", "scores", "n", measure, "answers changed", "measured minus these", "p", "p (Holm)"
    ]  # fmt: skip
    return Findings([Table("does the generator use the scores?", columns, rows, [])], sentences)


def _controls(strategies: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Return the rows of the suite by control: "measured", "none", "shuffled" and so on."""
    rows = {
        name: {key: value for key, value in row.items() if key != "strategy"}
        for name, row in strategies.items()
        if row.get("strategy", name) == _STRATEGY
    }
    controls: dict[str, str] = {}
    for name, options in rows.items():
        tags = options.get("tags", True)
        same = [{k: v for k, v in each.items() if k != "tags"} for each in rows.values()]
        if same.count({k: v for k, v in options.items() if k != "tags"}) > 1:
            controls.setdefault(_MEASURED if tags is True else _NONE if tags is False else str(tags), name)
    return controls


def _rows(
    place: tuple[str, ...],
    cells: Mapping[str, ScoredCell],
    compared: Mapping[str, Comparison],
    by_cell: Figures,
    measure: str,
) -> Iterator[list[str]]:
    for name, cell in cells.items():
        figure, comparison = by_cell[cell.cell].get(measure), compared.get(name)
        difference = (
            ["–"] * 3
            if comparison is None
            else [
                interval_text(comparison.difference, scale(measure), sign=True),
                f"{comparison.p:.4f}",
                f"{comparison.p_holm:.4f}",
            ]
        )
        changed = "–" if name == _MEASURED else _changed(cells[_MEASURED], cell)
        yield [*place, name, str(figure.n if figure else 0), figure_text(figure, measure), changed, *difference]


def _changed(measured: ScoredCell, other: ScoredCell) -> str:
    """Return "12 of 40": how many answers are another text than with the measured scores, right or wrong."""
    both = measured.answers.keys() & other.answers.keys()
    changed = sum(normalise(measured.answers[i].text or "") != normalise(other.answers[i].text or "") for i in both)
    return f"{changed} of {len(both)}"


def sentence(compared: Mapping[str, Comparison]) -> str:
    """Return in words what the comparisons of the measured scores with each control say, and what they do not."""
    if not compared:
        return "no question was answered under both, so nothing can be said"
    n = min(c.n for c in compared.values())
    better = [name for name, c in compared.items() if c.p_holm < _LEVEL and c.difference.value > 0]
    worse = [name for name, c in compared.items() if c.p_holm < _LEVEL and c.difference.value < 0]
    if not better and not worse:
        name, largest = max(compared.items(), key=lambda item: abs(item[1].difference.value))
        differs = interval_text(largest.difference, scale(largest.measure), sign=True)
        return (
            f"{n} questions do not show that the generator uses the scores: none of {_words(compared)} differs "
            f"significantly from the measured ones (all p > {_LEVEL:g} after Holm's correction). This does not show "
            f"that it ignores them: the largest difference, to {_words([name])}, is {differs}"
        )
    parts = [f"the generator uses the scores ({n} questions)"]
    if better:
        parts.append(f"it answers significantly worse with {_words(better)} than with the measured ones")
    if worse:
        parts.append(f"it answers significantly better with {_words(worse)} than with the measured ones")
    neutral = [name for name in ("none", "constant", "shuffled", "random") if name in compared and name not in better]
    if neutral:
        parts.append(
            f"the measured ones are not significantly better than {_words(neutral)}, so no gain from them is shown"
        )
    return "; ".join(parts)


def _words(names: Mapping[str, Any] | Sequence[str]) -> str:
    words = ["no scores" if name == _NONE else name for name in names]
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
