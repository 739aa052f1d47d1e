"""Characters that no text may contain, and what is done about them."""

from __future__ import annotations

import re
from typing import NamedTuple

_SURROGATE = re.compile("[\ud800-\udfff]")
_CONTROL = re.compile("[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f]")  # those that are no white space
_ANY_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")


class Repaired(NamedTuple):
    """A text that can be stored. `causes`: short names of what was wrong with it, by which texts are counted."""

    text: str
    causes: tuple[str, ...] = ()


def repair(text: str) -> Repaired:
    """Return a text in which each lone surrogate is U+FFFD and each control character but white space is a space."""
    causes = []
    if _CONTROL.search(text):
        text = _CONTROL.sub(" ", text)
        causes.append("control characters")
    if _SURROGATE.search(text):
        text = _SURROGATE.sub("\ufffd", text)
        causes.append("lone surrogates")
    return Repaired(text, tuple(causes))


def trim(text: str) -> str:
    """Return a text without byte order marks and white space around it."""
    return text.strip().strip("\ufeff").strip()


def is_valid_id(text: str) -> bool:
    """Return whether a text can be an id: on one line, without control characters and lone surrogates."""
    return not (_ANY_CONTROL.search(text) or _SURROGATE.search(text))
