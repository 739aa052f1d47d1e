"""How often the checks for critical errors are right: on good translations, and on those with a planted error."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import qttrag
from qttrag.errors import InputError
from qttrag.evaluation import document
from qttrag.evaluation.document import Document, Figure
from qttrag.evaluation.report.tables import Table, interval_text
from qttrag.evaluation.stages.text_files import opened, tsv_rows
from qttrag.evaluation.statistics import wilson
from qttrag.taggers.critical_errors.check import critical_errors
from qttrag.types import Lang

KINDS = ("numbers", "names", "negation", "omission")


class CheckedPair(NamedTuple):
    """A text with a good translation, and that translation with a planted error; None: without one."""

    original: str
    translation: str
    damaged: str | None = None


def read(path: Path, columns: Sequence[str]) -> list[CheckedPair]:
    """Return the rows of a TSV file with a header; `columns`: original, translation and perhaps damaged translation.

    A damaged translation that is empty or equals the good one counts as none.

    Raises:
        ConfigError: the file does not exist.
        InputError: a column is missing."""
    with tsv_rows(path, columns) as rows:
        return [_pair(*(row[name] or "" for name in columns)) for row in rows]


def read_lines(originals: Path, translations: Path) -> list[CheckedPair]:
    """Return the pairs of two files with one text a line.

    Raises:
        ConfigError: a file does not exist.
        InputError: the files have different numbers of lines."""
    with opened(originals) as one, opened(translations) as other:
        lines = [one.read().splitlines(), other.read().splitlines()]
    if len(lines[0]) != len(lines[1]):
        raise InputError(f"{originals} has {len(lines[0])} lines and {translations} {len(lines[1])}; align them")
    return [CheckedPair(*pair) for pair in zip(*lines, strict=True)]


class CheckCell(NamedTuple):
    """How often a check, or "any" of them, flags translations: `flagged` of the `good` ones, `found` of the `damaged`.

    The precision is that for as many damaged translations as there are here."""

    check: str
    good: int
    flagged: int
    damaged: int
    found: int
    figures: dict[str, Figure]


def measured(pairs: Sequence[CheckedPair], source: Lang, target: Lang) -> list[CheckCell]:
    """Return the figures `false_alarms`, `found` and `precision` of every check and of any."""
    good = [_flags(pair.original, pair.translation, source, target) for pair in pairs]
    damaged = [_flags(p.original, p.damaged, source, target) for p in pairs if p.damaged is not None]
    cells = []
    for kind in (*KINDS, "any"):
        wrong, right = ([bool(flags if kind == "any" else kind in flags) for flags in some] for some in (good, damaged))
        flagged = [True] * sum(right) + [False] * sum(wrong) if damaged else []
        shares = {"false_alarms": wrong, "found": right, "precision": flagged}
        figures = {
            name: _share(name, values, f"check:{kind}|lang:{source}-{target}") for name, values in shares.items()
        }
        cells.append(CheckCell(kind, len(good), sum(wrong), len(damaged), sum(right), figures))
    return cells


def _share(name: str, values: Sequence[bool], about: str) -> Figure:
    import numpy as np

    over = np.array(values, np.float64)
    interval = wilson(over, np.ones_like(over))
    signature = f"{name}|{about}|n:{len(values)}|ci:{interval.method}|v:{qttrag.__version__}"
    return Figure(interval, len(values), signature)


def table(cells: Sequence[CheckCell], source: Lang, target: Lang) -> Table:
    rows = [
        [
            *(cell.check, str(cell.good), str(cell.flagged), str(cell.damaged), str(cell.found)),
            *(interval_text(figure.interval) for figure in cell.figures.values()),
        ]
        for cell in cells
    ]
    columns = ["check", "good", "flagged", "damaged", "found", "false alarms %", "found %", "precision %"]
    signatures = [figure.signature for cell in cells for figure in cell.figures.values()]
    return Table(f"critical errors, {source} to {target}, 95 % intervals", columns, rows, signatures)


def as_document(cells: Sequence[CheckCell]) -> Document:
    """Return the figures as `--json` prints them."""
    entries = [
        document.cell(cell.figures, **{k: v for k, v in cell._asdict().items() if k != "figures"}) for cell in cells
    ]
    return Document(command="flags", cells=entries)


def _flags(original: str, translation: str, source: Lang, target: Lang) -> set[str]:
    return {error.kind for error in critical_errors(original, translation, source, target)}


def _pair(original: str, translation: str, damaged: str = "") -> CheckedPair:
    return CheckedPair(original, translation, damaged if damaged not in ("", translation) else None)
