"""Language identification on labelled questions: how often right, how often the same again, how fast."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

from qttrag.evaluation.report.tables import Grid
from qttrag.evaluation.statistics import Interval, bootstrap
from qttrag.protocols import LanguageDetector
from qttrag.types import Lang


class Labelled(NamedTuple):
    text: str
    lang: Lang


async def grid(detector: LanguageDetector, labelled: Sequence[Labelled]) -> Grid:
    """Return accuracy and agreement between two calls by language, and over all; the title says how fast it was.

    A script or region apart counts as the same language."""
    texts = [each.text for each in labelled]
    await detector.detect(texts[:1])  # loads what there is to load
    start = time.perf_counter()
    first = await detector.detect(texts)
    seconds = time.perf_counter() - start
    again = await detector.detect(texts)
    right: dict[str, list[tuple[bool, bool]]] = defaultdict(list)
    for each, one, other in zip(labelled, first, again, strict=True):
        for group in (each.lang, "all"):
            right[group].append((_base(one) == _base(each.lang), one == other))
    rows = [
        [lang, str(len(found)), *(_shown([each[n] for each in found]) for n in (0, 1))] for lang, found in right.items()
    ]
    title = f"language identification, 95 % intervals; {len(texts) / seconds:,.0f} texts a second"
    return Grid(title, ["lang", "n", "right %", "same again %"], sorted(rows, key=lambda row: row[0] == "all"), [])


def _base(lang: Lang) -> str:
    return lang.split("-")[0]


def _shown(values: Sequence[bool]) -> str:
    import numpy as np

    over = np.array(values, np.float64)[:, None]
    interval: Interval = bootstrap(over, np.ones_like(over))[0]
    value, low, high = (each * 100 for each in interval)
    return f"{value:.1f} [{low:.1f}, {high:.1f}]"
