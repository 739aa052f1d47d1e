"""Checks that an answer is in the language of its question."""

from __future__ import annotations

from qttrag.protocols import LanguageDetector
from qttrag.text.language_check import Judgement, judge
from qttrag.types import Lang


class LanguageGuard:
    """Judges answers. `repairs`: an answer in the wrong language is to be corrected, not only reported."""

    def __init__(self, detector: LanguageDetector, *, repairs: bool = False) -> None:
        self.repairs = repairs
        self._detector = detector

    async def judge(self, text: str, lang: Lang) -> Judgement:
        """Return whether a text is in `lang` (`qttrag.text.language_check.judge`)."""
        (detected,) = await self._detector.detect([text])
        return judge(text, lang, detected)
