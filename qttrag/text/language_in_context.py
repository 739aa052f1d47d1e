"""The language of a text that may be too short to tell it, from what the same person wrote before."""

from __future__ import annotations

from collections.abc import Sequence

from qttrag.text.language_check import judge
from qttrag.text.scripts import scripts_of
from qttrag.types import UNDETERMINED, Lang


def language_in_context(text: str, detected: Lang, earlier: Sequence[tuple[str, Lang]]) -> Lang:
    """Return the language of a text. `detected`: that of the text alone; `earlier`: texts with theirs, oldest first.

    The language before holds for a text without letters, a name, a single word in Latin letters, and a text that is
    too short to distinguish the two languages. "und": no text has letters."""
    previous = _certain_language(earlier)
    if previous is None:  # then the longest text is the best evidence
        texts = [(text, detected), *reversed(earlier)]
        return max(texts, key=lambda pair: (pair[1] != UNDETERMINED, scripts_of(pair[0]).total()))[1]
    if detected == UNDETERMINED or _may_be_a_name(text) or judge(text, previous, detected).outcome != "wrong":
        return previous
    return detected


def _certain_language(texts: Sequence[tuple[str, Lang]]) -> Lang | None:
    """Return the language of the newest text that is long enough for its script, or None."""
    known = (pair for pair in reversed(texts) if pair[1] != UNDETERMINED)
    return next((lang for text, lang in known if judge(text, lang, lang).outcome == "right"), None)


def _may_be_a_name(text: str) -> bool:
    return len(text.split()) == 1 and scripts_of(text).keys() == {"Latn"}
