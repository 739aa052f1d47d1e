"""What is surely wrong with a translation, by looking at it: no model, and no flag on what only may be wrong."""

from __future__ import annotations

import functools
import re
from collections import Counter
from typing import Final

from qttrag.types import Lang

FLAGS: Final = ("empty", "copied", "loop", "script", "cut")
"""Every flag, in the order they are given. "cut" is the translator's own: words it did not give or get whole."""

_HAN = "\u3005\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003134f"
_LATIN = "A-Za-z\xaa\xba\xc0-\xd6\xd8-\xf6\xf8-\u02ff\u1d00-\u1dbf\u1e00-\u1eff\u2c60-\u2c7f\ua722-\ua7ff\uff21-\uff5a"
_KANA = "\u3041-\u309f\u30a0-\u30ff\u31f0-\u31ff\uff66-\uff9f"
_SCRIPTS = {  # letters by ISO 15924 code; blocks of Unicode 15
    "Arab": "\u0620-\u065f\u066e-\u06ff\u0750-\u077f\u0870-\u08ff\ufb50-\ufdff\ufe70-\ufefc",
    "Armn": "\u0531-\u0588\ufb13-\ufb17",
    "Beng": "\u0980-\u09ff",
    "Cyrl": "\u0400-\u052f\u1c80-\u1c8f\u2de0-\u2dff\ua640-\ua69f",
    "Deva": "\u0900-\u097f\ua8e0-\ua8ff",
    "Ethi": "\u1200-\u139f\u2d80-\u2ddf\uab00-\uab2f",
    "Geor": "\u10a0-\u10ff\u1c90-\u1cbf\u2d00-\u2d2f",
    "Grek": "\u0370-\u03ff\u1f00-\u1fff",
    "Gujr": "\u0a80-\u0aff",
    "Guru": "\u0a00-\u0a7f",
    "Hang": "\u1100-\u11ff\u3130-\u318f\ua960-\ua97f\uac00-\ud7ff",
    "Hans": _HAN,
    "Hant": _HAN + "\u3100-\u312f",
    "Hebr": "\u0590-\u05ff\ufb1d-\ufb4f",
    "Jpan": _HAN + _KANA,
    "Khmr": "\u1780-\u17ff",
    "Knda": "\u0c80-\u0cff",
    "Laoo": "\u0e80-\u0eff",
    "Latn": _LATIN,
    "Mlym": "\u0d00-\u0d7f",
    "Mymr": "\u1000-\u109f\ua9e0-\ua9ff\uaa60-\uaa7f",
    "Olck": "\u1c50-\u1c7f",
    "Orya": "\u0b00-\u0b7f",
    "Sinh": "\u0d80-\u0dff",
    "Taml": "\u0b80-\u0bff",
    "Telu": "\u0c00-\u0c7f",
    "Tfng": "\u2d30-\u2d7f",
    "Thai": "\u0e00-\u0e7f",
    "Tibt": "\u0f00-\u0fff",
}
_LETTER = r"[^\W\d_]"
_WORD = re.compile(f"{_LETTER}+")
_SYLLABLES = re.compile(f"[{_HAN}{_KANA}\uac00-\ud7a3]")
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
    from qttrag.languages import language

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
def _letters(script: str) -> tuple[re.Pattern[str], re.Pattern[str]]:
    """Return patterns of a letter of the script, and of a run of letters of any other."""
    own = _SCRIPTS[script]
    return re.compile(f"[{own}]"), re.compile(f"(?:(?![{own}]){_LETTER})+")
