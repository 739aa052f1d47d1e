"""Count the letters of a text by script."""

from __future__ import annotations

from collections import Counter

import regex

from qttrag.text.languages import ALSO_WRITTEN_IN, LANGUAGES
from qttrag.types import Lang

_COMPONENTS = {"Hans": ("Hani",), "Hant": ("Hani",), "Jpan": ("Hani", "Kana")}
_CLASSES = {
    "Arab": r"\p{Arab}\u0640",  # tatweel, which Unicode counts as common to several scripts
    "Hani": r"\p{Hani}\p{Bopo}\u3006",  # Bopomofo annotates Chinese, and only Chinese
    "Kana": r"\p{Hira}\p{Kana}\u30fc\uff70\uff9e\uff9f",  # and the sound marks of both kana
    "Latn": r"\p{Latn}\u02b9-\u02d1",  # modifier letters, such as the apostrophe of Uzbek
}


def component_scripts(script: str) -> frozenset[str]:
    """Return the scripts of the letters, as `script_of` gives them, that an ISO 15924 script of a language combines."""
    return frozenset(_COMPONENTS.get(script, (script,)))


def written_in(lang: Lang) -> frozenset[str]:
    """Return the scripts, as `script_of` gives them, in which texts of a language may be written."""
    scripts = {LANGUAGES[lang].script} | ALSO_WRITTEN_IN.get(lang, frozenset())
    return frozenset().union(*map(component_scripts, scripts))


def character_class(*scripts: str) -> str:
    """Return the inside of a `regex` character class of the letters, marks and digits of the scripts."""
    return "".join(_CLASSES.get(script, rf"\p{{{script}}}") for script in scripts)


SCRIPTS = tuple(sorted({part for row in LANGUAGES.values() for part in component_scripts(row.script)}))
"""The scripts that the languages of the table are written in, by ISO 15924 code; "Kana" is both kana."""


class _ScriptByCharacter(dict[str, "str | None"]):
    """The script of each character, computed when the character first occurs."""

    _pattern = regex.compile("|".join(f"(?P<{script}>[{character_class(script)}])" for script in SCRIPTS))

    def __missing__(self, character: str) -> str | None:
        match = self._pattern.match(character) if character.isalpha() else None
        self[character] = script = match.lastgroup if match else None
        return script


_SCRIPT = _ScriptByCharacter()


def script_of(character: str) -> str | None:
    """Return the ISO 15924 script of a letter ("Kana" for both kana), or None for anything else."""
    return _SCRIPT[character]


def scripts_of(text: str) -> Counter[str]:
    """Return the number of letters of each script in a text, in the order in which the scripts first occur."""
    counts: Counter[str] = Counter()
    for character, n in Counter(text).items():
        if (script := _SCRIPT[character]) is not None:
            counts[script] += n
    return counts
