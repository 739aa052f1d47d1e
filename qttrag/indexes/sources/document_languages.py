"""The language of each paragraph of a document, which may mix languages."""

from __future__ import annotations

from collections.abc import Sequence

from qttrag.detectors.script import detect
from qttrag.detectors.script_rules import languages_written_in
from qttrag.text.scripts import scripts_of
from qttrag.types import UNDETERMINED, Lang

_ENOUGH = 60  # letters by which fastText tells languages of one script apart
_ENOUGH_HAN = 20
_HAN = frozenset(("Hani", "Kana"))  # Japanese mixes both


def main_script(text: str) -> str | None:
    """Return the script with most letters of a text, "Hani" for kana, too; None without letters."""
    letters = scripts_of(text)
    if not letters:
        return None
    script = letters.most_common(1)[0][0]
    return "Hani" if script in _HAN else script


def languages_of(texts: Sequence[str]) -> list[Lang]:
    """Return the language of each text of a document.

    One that is too short to tell has the language of the text before it in the same script, or else after it; one
    without letters, that of the text before it in any script."""
    scripts = [main_script(text) for text in texts]
    certain = [detect(text) if _is_enough(text, script) else None for text, script in zip(texts, scripts, strict=True)]
    forward = _filled(certain, scripts)
    backward = _filled(certain[::-1], scripts[::-1])[::-1]
    langs: list[Lang] = []
    for n, text in enumerate(texts):
        lang = forward[n] or backward[n] or (detect(text) if scripts[n] else None)
        langs.append(lang or (langs[-1] if langs else UNDETERMINED))
    return langs


def _is_enough(text: str, script: str | None) -> bool:
    if script is None:
        return False
    letters = scripts_of(text)
    if script == "Hani":
        return letters.total() >= _ENOUGH_HAN or letters["Kana"] > 0
    return script == "Hang" or letters.total() >= _ENOUGH or len(languages_written_in(script)) == 1


def _filled(langs: Sequence[Lang | None], scripts: Sequence[str | None]) -> list[Lang | None]:
    """Return the languages, gaps filled with the latest one of the same script."""
    latest: dict[str, Lang] = {}
    filled: list[Lang | None] = []
    for lang, script in zip(langs, scripts, strict=True):
        if script is not None and lang is not None:
            latest[script] = lang
        filled.append(lang or (latest.get(script) if script is not None else None))
    return filled
