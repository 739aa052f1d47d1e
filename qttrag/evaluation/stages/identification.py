"""Language identification of labelled texts: accuracy, agreement between two calls, speed."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import qttrag
from qttrag.errors import InputError
from qttrag.evaluation import document
from qttrag.evaluation.datasets.files import language_of, lines, local_path, records, text_of
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


def read(path: Path) -> list[LabelledText]:
    """Return the texts of a JSONL file, or of a folder with one file per language: kor_Hang.dev, fin_Latn.dev.gz.

    Raises:
        InputError: a record lacks its text or language, a file's name begins with no language, or there is no text."""
    labelled = _of_folder(path) if path.is_dir() else _of_records(local_path(str(path)))
    if not labelled:
        raise InputError(f"{path}: has no texts")
    return labelled


def _of_records(path: Path) -> list[LabelledText]:
    return [
        LabelledText(
            text_of(where, record, "text" if "text" in record else "question"),
            language_of(where, text_of(where, record, "lang")),
        )
        for where, record in records(path)
    ]


def _of_folder(folder: Path) -> list[LabelledText]:
    files = sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
    langs = {path: language_of(str(path), path.name.split(".")[0]) for path in files}
    return [LabelledText(line, lang) for path, lang in langs.items() for _, line in lines(path)]


def shortened(labelled: LabelledText, words: int) -> LabelledText:
    """Return a text cut after so many words, by the dictionary in languages without spaces."""
    from icu4py.breakers import WordBreaker

    kept, found = [], 0
    for part in WordBreaker(labelled.text, "und"):
        found += any(map(str.isalnum, part))
        if found > words:
            break
        kept.append(part)
    return labelled._replace(text="".join(kept).strip())


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
