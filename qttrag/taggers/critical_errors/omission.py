"""Sentences of an original that its translation omits, judged by length and number of sentences."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path

from qttrag.config import yaml_files
from qttrag.translators.sentences import sentences
from qttrag.types import Lang

_FEWER = 0.72  # the most of the expected length that a translation with fewer sentences may have
_MUCH_SHORTER = 0.5  # half of any text is missing; of 47,000 single sentences of FLORES-200, 0.1 % are as short
_ENOUGH = 60  # characters in English; the length of shorter texts varies more


def omits_sentences(original: str, translation: str, source: Lang, target: Lang) -> bool:
    """Return whether a translation is too short to have all sentences of the original.

    False for languages whose usual length is unknown, and for short originals."""
    usual = lengths()
    if source not in usual or target not in usual:
        return False
    english = _length(original) / usual[source]
    if english < _ENOUGH:
        return False
    share = _length(translation) / (english * usual[target])
    if share < _MUCH_SHORTER:
        return True
    return share < _FEWER and len(sentences(translation, target)) < len(sentences(original, source))


@functools.cache
def lengths() -> Mapping[Lang, float]:
    """Return the usual length of a text in each language, where English has 1, without spaces."""
    data = yaml_files.read_yaml(Path(__file__).parent / "lengths.yaml")
    return {Lang(lang): float(length) for lang, length in data["lengths"].items()}


def _length(text: str) -> int:
    return len("".join(text.split()))
