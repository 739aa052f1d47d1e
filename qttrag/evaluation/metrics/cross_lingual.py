"""r_lang: how much of what is read, or found, is not in the language of the question (arXiv:2510.23070)."""

from __future__ import annotations

from collections.abc import Sequence


def foreign(langs: Sequence[str | None], lang: str, k: int) -> tuple[int, int]:
    """Return how many of the first `k` passages are not in `lang`, and how many there are.

    A script or region apart ("zh-Hant" beside "zh") is the same language; None is another one."""
    first = langs[:k]
    return sum(each is None or each.split("-")[0] != lang.split("-")[0] for each in first), len(first)
