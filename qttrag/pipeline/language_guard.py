"""Is an answer in the language it was asked for in? The script first, then a detector; often nobody can tell."""

from __future__ import annotations

from typing import Literal, NamedTuple

from qttrag.protocols import LanguageDetector
from qttrag.text.languages import ALIKE, LANGUAGES, SPACELESS, language
from qttrag.text.scripts import scripts_of
from qttrag.types import UNDETERMINED, Lang

_WRITTEN_IN = {"Hans": {"Hani"}, "Hant": {"Hani"}, "Jpan": {"Hani", "Kana"}}
_WORDS, _LETTERS = 4, 20  # fewer of both in a script that several languages share, and no detector is to be trusted
_SPACELESS_LETTERS = 6
_LONG_WORD = 4  # letters: a short one in small letters may be part of a name, or a unit


class Judgement(NamedTuple):
    """`word`: what can be said of a text's language. `found`: the language it seems to be in instead."""

    word: Literal["right", "cannot tell", "wrong"]
    found: Lang = UNDETERMINED


class LanguageGuard:
    """Judges answers. `repairs`: what it finds wrong is to be put right, not only reported."""

    def __init__(self, detector: LanguageDetector, *, repairs: bool = False) -> None:
        self.repairs = repairs
        self._detector = detector

    async def judge(self, text: str, wanted: Lang) -> Judgement:
        """Say whether a text is in the language `wanted`. Of numbers and names nobody can tell."""
        letters = scripts_of(text)
        own = _scripts(wanted)
        if not letters:
            return Judgement("cannot tell")
        if not own & letters.keys() and letters.keys() == {"Latn"} and _may_be_a_name(text):
            return Judgement("cannot tell")
        (found,) = await self._detector.detect([text])
        if not own & letters.keys():
            return Judgement("wrong", found)
        if _is_alone_in(own):
            return Judgement("right") if _base(found) == _base(wanted) else _other(found, wanted)
        enough = _SPACELESS_LETTERS if wanted in SPACELESS else _LETTERS
        if len(text.split()) < _WORDS and letters.total() < enough and own >= letters.keys():
            return Judgement("cannot tell")
        return Judgement("right") if _base(found) == _base(wanted) else _other(found, wanted)


def _other(found: Lang, wanted: Lang) -> Judgement:
    near = any({_base(found), _base(wanted)} <= group for group in ALIKE)
    return Judgement("cannot tell") if near or found == UNDETERMINED else Judgement("wrong", found)


def _base(lang: Lang) -> Lang:
    return Lang(lang.split("-")[0])


def _scripts(lang: Lang) -> set[str]:
    script = language(lang).script
    return _WRITTEN_IN.get(script, {script})


def _is_alone_in(scripts: set[str]) -> bool:
    """Return whether one language alone is written in one of the scripts, so that its letters decide."""
    users = {_base(row.code) for row in LANGUAGES.values() if _scripts(row.code) & scripts}
    return len(users) == 1


def _may_be_a_name(text: str) -> bool:
    """Return whether Latin letters in a text may be a name left in its own script, or a unit."""
    words = ["".join(c for c in word if c.isalpha()) for word in text.split()]
    return not any(word.islower() and len(word) >= _LONG_WORD for word in words)
