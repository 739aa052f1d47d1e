"""What is surely wrong with a translation, by looking at it: no model, and no flag on what only may be wrong."""

from __future__ import annotations

import functools
import re
from collections import Counter
from typing import Final

import regex

from qttrag.text.languages import language
from qttrag.text.scripts import character_class, component_scripts
from qttrag.types import Lang

FLAGS: Final = ("empty", "copied", "loop", "script", "cut")
"""Every flag, in the order they are given. "cut" is the translator's own: words it did not give or get whole."""

_WORD = re.compile(r"[^\W\d_]+")
_SYLLABLES = regex.compile(f"[{character_class('Hani', 'Kana')}\uac00-\ud7a3]")
_RUN = re.compile(r"(.{2,100}?)\1{2,}", re.DOTALL)

_GRAM = 4  # characters; long enough that related languages share few of a sentence's
_COPIED_SHARE = 0.9  # FLORES-200: Cantonese and Chinese reach it in 3 of 997 sentences, no pair does in more
_COPIED_LETTERS = 30  # in words that are no names; fewer may well stay as they are: a title, a term, an address
_FOREIGN_LETTERS = 10
_FOREIGN_TO_OWN = 4  # Chinese says with one character what a name in Latin letters beside it says with four
_LOOPS = {4: 12, 3: 30}  # so many times in a row, and characters altogether


def flags(source_text: str, translation: str, source: Lang, target: Lang) -> tuple[str, ...]:
    """Return what is surely wrong with the translation of a sentence or passage, in the order of `FLAGS`.

    "empty": words went in and not one came out. "copied": the words are the source's, though the languages differ.
    "loop": it says something over and over that the source does not. "script": most letters that are not names
    from the source are of another script than the target's."""
    if not any(map(str.isalpha, source_text)):
        return ()
    if not any(map(str.isalnum, translation)):
        return ("empty",)
    found = []
    if source != target and _is_copied(source_text, translation):
        found.append("copied")
    if _loops(source_text, translation):
        found.append("loop")
    if _is_in_other_script(source_text, translation, language(target).script):
        found.append("script")
    return tuple(found)


def _is_copied(source_text: str, translation: str) -> bool:
    words = [word for word in _WORD.findall(translation) if not word[0].isupper()]
    if sum(len(word) + len(_SYLLABLES.findall(word)) for word in words) < _COPIED_LETTERS:  # a syllable says more
        return False
    ours, theirs = _grams(translation), _grams(source_text)
    return (ours & theirs).total() >= _COPIED_SHARE * ours.total()


def _grams(text: str) -> Counter[str]:
    line = " ".join(_WORD.findall(text.casefold()))
    return Counter(line[i : i + _GRAM] for i in range(len(line) - _GRAM + 1))


def _loops(source_text: str, translation: str) -> bool:
    times = _most_repeats(translation)
    return times > 0 and times >= 2 * max(1, _most_repeats(source_text))


def _most_repeats(text: str) -> int:
    """Return how often in a row something with a letter or digit in it is said, 0 where that is nothing to heed."""
    most = 0
    for run in _RUN.finditer(text + " "):  # so that the last time counts too
        times = len(run[0]) // len(run[1])
        if any(map(str.isalnum, run[1])) and any(times >= n and len(run[0]) >= m for n, m in _LOOPS.items()):
            most = max(most, times)
    return most


def _is_in_other_script(source_text: str, translation: str, script: str) -> bool:
    own, other = _letters(script)
    names = source_text.casefold()
    foreign = sum(len(run) for run in other.findall(translation) if run.casefold() not in names)
    return foreign >= max(_FOREIGN_LETTERS, _FOREIGN_TO_OWN * len(own.findall(translation)))


@functools.cache
def _letters(script: str) -> tuple[regex.Pattern[str], regex.Pattern[str]]:
    """Return patterns of a letter of the script, and of a run of letters of any other."""
    own = character_class(*sorted(component_scripts(script)))
    return regex.compile(f"[{own}]"), regex.compile(rf"(?:(?![{own}])[\p{{L}}\p{{Nl}}\p{{No}}])+")
