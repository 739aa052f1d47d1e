"""Translate the texts of one call with several translators, each the texts that are its own."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from typing import Any, TypeVar

from qttrag.runtime.tasks import gather_or_cancel
from qttrag.types import UNSUPPORTED, Lang, Translation

K = TypeVar("K")  # hashable; a Protocol does not say so
Run = Callable[[K, list[str], list[Lang]], Coroutine[Any, Any, list[Translation]]]
"""Translates the texts of one group, which have these languages."""


async def by_group(
    texts: Sequence[str], source: Sequence[Lang], group: Callable[[Lang], K], run: Run[K]
) -> list[Translation]:
    """Return the translations in the order of the texts; `group`: to which group a text of a language belongs.

    The groups are translated at the same time."""
    numbers: dict[K, list[int]] = {}
    for n, lang in enumerate(source):
        numbers.setdefault(group(lang), []).append(n)
    translated = await gather_or_cancel(
        run(key, [texts[n] for n in members], [source[n] for n in members]) for key, members in numbers.items()
    )
    by_number = {
        n: translation
        for members, translations in zip(numbers.values(), translated, strict=True)
        for n, translation in zip(members, translations, strict=True)
    }
    return [by_number[n] for n in range(len(texts))]


def untranslated(text: str, *, supported: bool) -> Translation:
    """Return the text as its translation, flagged if its language is not supported and it has letters."""
    return Translation(text, () if supported or not any(map(str.isalpha, text)) else (UNSUPPORTED,))
