"""Rules by the script of a text, which leave an open question to a model of fastText.

The script with the most letters decides; a letter of Hangul, Han or kana counts 2.5. Because questions quote titles and
names in Latin letters and seldom the reverse, another script at the beginning or end of the text wins if it has a fifth
of the letters. Han with kana is Japanese; Han alone is Japanese or Chinese by its characters (`qttrag.text.han`). If
that leaves several languages, the model decides among them; English gives way to a second best with a score of 0.2 or
more, for the same reason as above.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import NamedTuple

from qttrag.text.han import JA, ZH, HanEvidence, evidence
from qttrag.text.languages import ALSO_WRITTEN_IN, LANGUAGES
from qttrag.text.normalization import clean
from qttrag.text.scripts import script_of, scripts_of
from qttrag.types import UNDETERMINED, Lang

MAX_CHARACTERS = 1000  # of a text; the rest is ignored
_WEIGHT = {"Hang": 2.5, "Hani": 2.5, "Jpan": 2.5}  # a syllable or character corresponds to some 2.5 letters
_QUOTING_SHARE = 0.2
_SECOND_TO_ENGLISH = 0.2  # the model's score of a language that is preferred to English
LANGUAGE_OF = {"Hang": Lang("ko"), "Jpan": JA}
_EXPECTED = 10.0  # the weight of an expected language
_JAPANESE_TO_CHINESE = 2.0  # a text in Han characters is Chinese unless Japanese is that much likelier
CANTONESE, TRADITIONAL = Lang("yue"), Lang("zh-Hant")
_CHINESE = frozenset((ZH, TRADITIONAL, CANTONESE))
_ARABIC = Lang("ar")
_SPOKEN_ARABIC = frozenset(map(Lang, ["acm", "acq", "aeb", "ajp", "apc", "ars", "ary", "arz"]))
VARIETIES = frozenset((CANTONESE, TRADITIONAL, *_SPOKEN_ARABIC))
"""Languages whose texts are "zh" or "ar" unless they are expected: a few words do not tell them apart reliably."""


class Preferences(NamedTuple):
    """`expected`: one of these wins over a language that the model scores up to ten times higher. `min_score`: texts
    that the model scores lower, from 0 to 1, are "und"."""

    expected: frozenset[Lang] = frozenset()
    min_score: float = 0.0


Scores = Callable[[str], Mapping[Lang, float]]
"""A model: from a text to its score of each language that it gives one."""


def detect_by(scores: Scores, text: str, preferences: Preferences) -> Lang:
    """Return the language of one text by its script and, if that is used for several languages, by a model.

    "und" if the text has no letters, or if the model knows none of the script's languages."""
    text = clean(text[:MAX_CHARACTERS])
    script = _main_script(text)
    if script is None:
        return UNDETERMINED
    if script in LANGUAGE_OF:
        return LANGUAGE_OF[script]
    if script == "Hani":
        return _han(scores, text, preferences.expected)
    candidates = languages_written_in(script)
    if len(candidates) == 1:
        return next(iter(candidates))
    words = " ".join(word for word in text.split() if _may_be_in(word, script))
    return _best(scores(words), candidates, preferences)


def _han(model: Scores, text: str, expected: frozenset[Lang]) -> Lang:
    """Return the language of a text in Han characters alone: Japanese, or else Chinese."""
    found = evidence(text)
    if len(found.langs) > 1:
        scores = model("".join(character for character in text if script_of(character) == "Hani"))
        japanese = scores.get(JA, 0.0) * (_EXPECTED if JA in expected else 1.0)
        chinese = max(scores.get(lang, 0.0) for lang in _CHINESE) * (_EXPECTED if expected & _CHINESE else 1.0)
        return JA if japanese > _JAPANESE_TO_CHINESE * chinese else _chinese(found, expected)
    return JA if JA in found.langs else _chinese(found, expected)


def _chinese(found: HanEvidence, expected: frozenset[Lang]) -> Lang:
    if found.cantonese and CANTONESE in expected:
        return CANTONESE
    if TRADITIONAL in expected and (found.script == "Hant" or (found.script is None and ZH not in expected)):
        return TRADITIONAL
    return ZH


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
def languages_written_in(script: str) -> frozenset[Lang]:
    """Return the languages that are written in a script, if only sometimes."""
    return frozenset(
        row.code
        for row in LANGUAGES.values()
        if script == row.script or script in ALSO_WRITTEN_IN.get(row.code, frozenset())
    )


def _best(scores: Mapping[Lang, float], candidates: frozenset[Lang], preferences: Preferences) -> Lang:
    """Return the best of the candidates; "und" if there is none, or its score is too low."""
    expected, scores = preferences.expected, _merged(scores, preferences.expected)
    weighted = {lang: score * (_EXPECTED if lang in expected else 1.0) for lang, score in scores.items()}
    ranked = sorted(candidates & weighted.keys(), key=lambda lang: (-weighted[lang], lang))
    if len(ranked) > 1 and ranked[0] == "en" and scores[ranked[1]] >= _SECOND_TO_ENGLISH:
        ranked = ranked[1:]
    return ranked[0] if ranked and scores[ranked[0]] >= preferences.min_score else UNDETERMINED


def _merged(scores: Mapping[Lang, float], expected: frozenset[Lang]) -> dict[Lang, float]:
    """Return the scores with those of spoken varieties of Arabic, unless they are expected, as scores of Arabic."""
    merged: dict[Lang, float] = {}
    for lang, score in scores.items():
        name = _ARABIC if lang in _SPOKEN_ARABIC - expected else lang
        merged[name] = max(score, merged.get(name, 0.0))
    return merged
