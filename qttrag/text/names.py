"""Names in a text, as far as spelling shows them: capitals, and Latin letters among others."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import yaml

from qttrag.text.transliteration import folded

CASED = frozenset({"Latn", "Cyrl", "Grek", "Armn"})
"""The scripts that write names with a capital."""
WORD = re.compile(r"[^\W\d_]+(?:['’.-][^\W\d_]+)*")

_LATIN_WORD = re.compile(r"[A-Za-z\u00c0-\u024f]{3,}")
_SENTENCE_BEGINS = re.compile(r"(?:^|[.!?:;…][\"'»”’)]*\s+|[\"'«“‘„(–—-]\s*|\n)$")
_ROMAN = re.compile(r"[IVXLivxl]+(?:e|er|ème|ste)?(?:-\w+)?")
_JOINTS = (" ", "-", " & ")


class Word(NamedTuple):
    """A capitalised word. `initial`: it begins a sentence or a quotation, so that it may be no name."""

    text: str
    initial: bool


def capitalised_runs(text: str) -> list[list[Word]]:
    """Return the runs of capitalised words, such as "Mikhail Gorbachev"."""
    runs: list[list[Word]] = []
    end = -1
    for match in WORD.finditer(text):
        if not match.group()[0].isupper():
            continue
        before = text[: match.start()]
        initial = not before.strip() or _SENTENCE_BEGINS.search(before[-8:]) is not None
        if runs and text[end : match.start()] in _JOINTS and not initial:
            runs[-1].append(Word(match.group(), initial=False))
        else:
            runs.append([Word(match.group(), initial)])
        end = match.end()
    return runs


def latin_names(text: str) -> list[str]:
    """Return the capitalised words in Latin letters of a text in another script, each once."""
    return [word for word in dict.fromkeys(_LATIN_WORD.findall(text)) if word[0].isupper() and may_be_name(word)]


def may_be_name(word: str) -> bool:
    """Return whether a capitalised word is no initial, abbreviation of two letters or Roman number."""
    return len(folded(word)) > 2 and not _ROMAN.fullmatch(word)


class Habits(NamedTuple):
    """`capitalise_nouns`: languages whose nouns all have a capital. `words`: by language, words with a capital that are
    translated."""

    capitalise_nouns: frozenset[str]
    words: Mapping[str, frozenset[str]]


@functools.cache
def habits() -> Habits:
    data = yaml.safe_load((Path(__file__).parent / "translated_names.yaml").read_text(encoding="utf-8"))
    words = {lang: frozenset(words.split()) for lang, words in data["words"].items()}
    return Habits(frozenset(data["capitalise_nouns"]), words)
