"""Names of a passage as its original has them, which a reader of the translation would not see."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from qttrag.text.languages import LANGUAGES
from qttrag.text.names import CASED, WORD, capitalised_runs, habits, latin_names, may_be_name
from qttrag.text.scripts import scripts_of, written_in
from qttrag.text.transliteration import alike, folded, latin
from qttrag.types import Lang, Passage

OriginalNames = Literal["as_written", "latin"]
"""How names of the original are shown beside a translation: as written there, or in Latin letters."""

_MOST = 8  # names of a passage
_LONGEST = 60  # characters; a longer title is a sentence
_WITHOUT_VOWELS = frozenset({"Arab", "Hebr", "Syrc"})  # in Latin letters, their names cannot be read


def hidden_names(passage: Passage, translation: str, target: Lang, form: OriginalNames) -> tuple[str, ...]:
    """Return the names of a passage that its translation loses or has in another script, at most 8, without repeats.

    The title counts as a name. In the text, names are the capitalised words of scripts with capitals, but not a word
    that begins a sentence and not in German, where all nouns have one; in other scripts, the words in Latin letters."""
    words = frozenset(key for word in WORD.findall(translation) if len(key := folded(word)) > 1)
    shown: list[str] = []
    for name in dict.fromkeys(_names(passage)):
        form_of_name = _in_latin(name) if form == "latin" else name
        if not _is_visible(form_of_name, translation, words, target) and not any(name in other for other in shown):
            shown.append(form_of_name)
    return tuple(dict.fromkeys(shown))[:_MOST]


def _names(passage: Passage) -> Iterator[str]:
    if 0 < len(passage.title) <= _LONGEST:
        yield passage.title
    row = LANGUAGES.get(passage.lang)
    if row is None or row.script not in CASED:
        yield from latin_names(passage.text)
    elif passage.lang not in habits().capitalise_nouns:
        translated = habits().words.get(passage.lang, frozenset())
        for run in capitalised_runs(passage.text):
            words = [word for word in run if may_be_name(word.text) and word.text.lower() not in translated]
            if not all(word.initial for word in words):
                yield " ".join(word.text for word in words)


def _is_visible(name: str, translation: str, words: frozenset[str], target: Lang) -> bool:
    """Return whether a translation has a name in the letters of `name`, even inflected."""
    if name.casefold() in translation.casefold():
        return True
    if not scripts_of(name).keys() & written_in(target):
        return False
    keys = [key for word in WORD.findall(name) if len(key := folded(word)) > 1]
    return all(any(alike(key, word, across_scripts=False) for word in words) for key in keys)


def _in_latin(name: str) -> str:
    if scripts_of(name).keys() & {"Latn", *_WITHOUT_VOWELS}:
        return name
    return " ".join(word.capitalize() for word in latin(name).replace("'", "").split())
