"""Decide whether a text is in the language asked for, from its scripts and from the language a detector reports."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Sequence
from typing import Literal, NamedTuple

from qttrag.text.languages import ALIKE, LANGUAGES
from qttrag.text.normalization import clean
from qttrag.text.scripts import component_scripts, scripts_of, written_in
from qttrag.types import UNDETERMINED, Lang

_LETTERS = 20  # with fewer, fastText takes 1 in 4 Swedish and 1 in 10 Spanish texts for another language (FLORES-200)
_HAN_LETTERS = 8  # 122 of the 124 Japanese answers of MKQA that are in Han characters alone have fewer
_LONG_WORD = 4  # letters; a shorter word in lower case may be part of a name, or a unit


class Judgement(NamedTuple):
    """Whether a text is in the language asked for. `detected`: of a wrong one, the language that was detected."""

    outcome: Literal["right", "cannot tell", "wrong"]
    detected: Lang = UNDETERMINED


_RIGHT, _UNDECIDED = Judgement("right"), Judgement("cannot tell")


def judge(text: str, lang: Lang, detected: Lang, references: Sequence[str] = ()) -> Judgement:
    """Return whether `text` is in `lang`, given the language that a detector reports for it.

    Undecided: a text without letters; a name in a foreign script (in Latin letters, or, where `references` are
    given, in the script of one of them); fewer than 20 letters of a script that other languages use, too, or of one of
    several scripts of `lang`; up to 7 Han characters for Japanese; a language that detectors confuse with `lang`
    (`ALIKE`)."""
    text = clean(text)
    letters, own = scripts_of(text), written_in(lang)
    if not letters:
        return _UNDECIDED
    if not own & letters.keys():
        return _UNDECIDED if _is_foreign_name(text, letters, references) else Judgement("wrong", detected)
    short = letters.total() < (_HAN_LETTERS if letters.keys() == {"Hani"} else _LETTERS)
    if _base(detected) == _base(lang):
        return _UNDECIDED if short and (letters.keys() < own or _shares_its_scripts(lang)) else _RIGHT
    if detected == UNDETERMINED or _are_alike(detected, lang) or (short and letters.keys() <= own):
        return _UNDECIDED
    return Judgement("wrong", detected)


def _scripts(lang: Lang) -> frozenset[str]:
    return component_scripts(LANGUAGES[lang].script)


def _base(lang: Lang) -> Lang:
    """Return the code without its script: detectors do not distinguish the scripts of a language."""
    return Lang(lang.split("-")[0])


def _are_alike(one: Lang, other: Lang) -> bool:
    return any({_base(one), _base(other)} <= group for group in ALIKE)


@functools.cache
def _shares_its_scripts(lang: Lang) -> bool:
    """Return whether another language is written in the same scripts, not counting those that are alike."""
    same = {_base(row.code) for row in LANGUAGES.values() if _scripts(row.code) == _scripts(lang)}
    return any(other != _base(lang) and not _are_alike(other, lang) for other in same)


def _is_foreign_name(text: str, letters: Counter[str], references: Sequence[str]) -> bool:
    """Return whether a text may be a name in its own script, or a unit: no long lower-case word but of references."""
    script = letters.most_common(1)[0][0]
    expected = any(scripts_of(r)[script] for r in references) if references else letters.keys() == {"Latn"}
    known = {word for reference in references for word in _words(reference.lower())}
    return expected and not any(w.islower() and len(w) >= _LONG_WORD and w not in known for w in _words(text))


def _words(text: str) -> list[str]:
    return ["".join(filter(str.isalpha, word)) for word in text.split()]
