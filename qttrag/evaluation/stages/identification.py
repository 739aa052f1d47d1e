"""Language identification of labelled texts: accuracy, agreement between two calls, speed."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

from qttrag.evaluation.report.tables import Table, interval_text
from qttrag.evaluation.statistics import wilson
from qttrag.protocols import LanguageDetector
from qttrag.types import Lang


class LabelledText(NamedTuple):
    text: str
    lang: Lang


async def identification_table(detector: LanguageDetector, labelled: Sequence[LabelledText]) -> Table:
    """Return accuracy and agreement between two calls, by language and over all; the title has the speed.

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
    rows = [
        [lang, str(len(outcomes)), *(_share([each[n] for each in outcomes]) for n in (0, 1))]
        for lang, outcomes in by_lang.items()
    ]
    title = f"language identification, 95 % intervals; {len(texts) / seconds:,.0f} texts a second"
    return Table(title, ["lang", "n", "right %", "same again %"], sorted(rows, key=lambda row: row[0] == "all"), [])


def _base(lang: Lang) -> str:
    return lang.split("-")[0]


def _share(values: Sequence[bool]) -> str:
    import numpy as np

    over = np.array(values, np.float64)
    return interval_text(wilson(over, np.ones_like(over)))
