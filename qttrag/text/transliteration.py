"""Texts in Latin letters, and names compared across scripts and spellings."""

from __future__ import annotations

import difflib
import functools
import re

_DIGRAPHS = (
    ("sch", "s"), ("sh", "s"), ("ch", "c"), ("ph", "p"), ("th", "t"), ("kh", "k"), ("gh", "g"), ("ck", "k"),
    ("qu", "k"), ("x", "ks"), ("zh", "s"),
)  # fmt: skip
_SOUNDS = str.maketrans("fvwrzcqjdg", "pbblskkstk", "yhaeiou")
_ALIKE = 0.65  # of difflib, for spellings of one script
_ALIKE_ACROSS = 0.6  # of a spelling and a transliteration
_ALIKE_CONSONANTS = 0.75
_BEGINNING = 4  # letters; endings differ by grammar


def latin(text: str) -> str:
    """Return a text in ASCII, each character as it is usually read: "Gorbachyov", "gangnam", "shenzhen".

    Han characters are read as Chinese. Arabic and Hebrew stay without their vowels."""
    from anyascii import anyascii

    romanised: str = anyascii(text)
    return romanised


@functools.lru_cache(65_536)
def folded(word: str) -> str:
    """Return the letters of a word in lower-case ASCII."""
    return re.sub("[^a-z]", "", latin(word).lower())


@functools.lru_cache(65_536)
def alike(one: str, other: str, *, across_scripts: bool) -> bool:
    """Return whether two folded words may be spellings of one name.

    `across_scripts`: one is a transliteration, so that similar consonants are enough: "schumacher", "syumaho"."""
    if min(len(one), len(other)) <= 2:
        return one == other
    if one[:_BEGINNING] == other[:_BEGINNING]:
        return True
    shorter, longer = sorted((one, other), key=len)
    if len(shorter) > 3 and shorter in longer:
        return True
    if _ratio(one, other) >= (_ALIKE_ACROSS if across_scripts else _ALIKE):
        return True
    return across_scripts and _sound_alike(_consonants(one), _consonants(other))


def _sound_alike(one: str, other: str) -> bool:
    shorter, longer = sorted((one, other), key=len)
    if len(shorter) < 2:
        return False
    return longer.startswith(shorter) or (len(shorter) > 2 and _ratio(one, other) >= _ALIKE_CONSONANTS)


def _ratio(one: str, other: str) -> float:
    return difflib.SequenceMatcher(None, one, other, autojunk=False).ratio()


@functools.lru_cache(65_536)
def _consonants(word: str) -> str:
    """Return the consonants of a folded word; those that scripts confuse (l and r, b and v, s and z) are one.

    A final v sounds as f, which is p elsewhere: Ivanov, 이바노프. p and b stay apart: if they were one, a tenth of the
    missing names would pass (English into Korean, FLORES-200)."""
    word = re.sub("v$", "f", word)
    for letters, letter in _DIGRAPHS:
        word = word.replace(letters, letter)
    return re.sub(r"(.)\1+", r"\1", word.translate(_SOUNDS))
