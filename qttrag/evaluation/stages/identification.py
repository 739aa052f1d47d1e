"""Language identification of labelled texts: accuracy, agreement between two calls, speed."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

import qttrag
from qttrag.evaluation import document
from qttrag.evaluation.document import Document, Figure
from qttrag.evaluation.report.tables import Table, interval_text
from qttrag.evaluation.statistics import Interval, wilson
from qttrag.protocols import LanguageDetector
from qttrag.types import Lang


class LabelledText(NamedTuple):
    text: str
    lang: Lang


class IdentificationCell(NamedTuple):
    """The figures of the texts of one language, or of all: "right", and "same_again" of two calls."""

    lang: str
    n: int
    figures: dict[str, Figure]


class Identification(NamedTuple):
    """The cells of all languages, that of "all" last, and the speed in texts a second."""

    cells: list[IdentificationCell]
    speed: float


async def identification(detector: LanguageDetector, labelled: Sequence[LabelledText], kind: str) -> Identification:
    """Return the accuracy of a detector of a kind, and the agreement between two calls, by language.

    Scripts and regions of a language count as the same language."""
    texts = [each.text for each in labelled]
    await detector.detect(texts[:1])  # loads the model
    start = time.perf_counter()
    first = await detector.detect(texts)
    seconds = time.perf_counter() - start
    again = await detector.detect(texts)
    by_lang: dict[str, list[tuple[bool, bool]]] = defaultdict(list)
    for each, one, other in zip(labelled, first, again, strict=True):
        for group in (each.lang, "all"):
            by_lang[group].append((_base(one) == _base(each.lang), one == other))
    cells = [_cell(lang, outcomes, kind) for lang, outcomes in by_lang.items()]
    return Identification(sorted(cells, key=lambda cell: cell.lang == "all"), len(texts) / seconds)


def _cell(lang: str, outcomes: Sequence[tuple[bool, bool]], kind: str) -> IdentificationCell:
    figures = {}
    for place, name in enumerate(("right", "same_again")):
        interval = _share([outcome[place] for outcome in outcomes])
        n = len(outcomes)
        signature = f"{name}|detector:{kind}|lang:{lang}|n:{n}|ci:{interval.method}|v:{qttrag.__version__}"
        figures[name] = Figure(interval, n, signature)
    return IdentificationCell(lang, len(outcomes), figures)


def _share(values: Sequence[bool]) -> Interval:
    import numpy as np

    over = np.array(values, np.float64)
    return wilson(over, np.ones_like(over))


def table(found: Identification) -> Table:
    rows = [
        [cell.lang, str(cell.n), *(interval_text(figure.interval) for figure in cell.figures.values())]
        for cell in found.cells
    ]
    signatures = [figure.signature for cell in found.cells for figure in cell.figures.values()]
    title = f"language identification, 95 % intervals; {found.speed:,.0f} texts a second"
    return Table(title, ["lang", "n", "right %", "same again %"], rows, signatures)


def as_document(found: Identification) -> Document:
    """Return the figures as `--json` prints them."""
    cells = [document.cell(cell.figures, lang=cell.lang, n=cell.n) for cell in found.cells]
    return Document(command="detector", notes=[f"{found.speed:,.0f} texts a second"], cells=cells)


def _base(lang: Lang) -> str:
    return lang.split("-")[0]
