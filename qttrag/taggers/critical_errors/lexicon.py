"""Number words, month names and negations of a language, from `words/<lang>.yaml`."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qttrag.config import yaml_files
from qttrag.types import Lang

_FOLDER = Path(__file__).parent / "words"


class WordTable:
    """Numbers by word. "*" stands for any letters; the longest entry that fits a word counts."""

    def __init__(self, values: Mapping[str, int]) -> None:
        self._whole = {word: value for word, value in values.items() if "*" not in word}
        parts = sorted((word for word in values if "*" in word), key=len, reverse=True)
        self._parts = [(re.compile(_pattern(word)), values[word]) for word in parts]

    def get(self, word: str) -> int | None:
        """Return the number of a word in lower case, None if the table does not have it."""
        if word in self._whole:
            return self._whole[word]
        return next((value for pattern, value in self._parts if pattern.fullmatch(word)), None)

    @property
    def words(self) -> list[str]:
        """Return the entries that are whole words, longest first."""
        return sorted(self._whole, key=len, reverse=True)


@dataclass(frozen=True, slots=True)
class Lexicon:
    """The words of a language.

    Attributes:
        multipliers: e.g. "thousand"; `not_multipliers`: longer words that begin like one, e.g. 千米, kilometre.
        loose: words that state a number only in some contexts, such as "second" and "both".
        afternoon: words that make 3 o'clock 15 o'clock.
        is_attached: words stand without spaces between them, as in Chinese, or with endings, as in Korean.
        eras: by the name of an era, the year before its first.
        calendar: by how many years the language's own calendar is ahead.
        centuries: words between the numbers of a century and of its decade, as in 20世纪70年代.
        names_centuries_by_hundreds: the 19th century is called "the 1800s".
        negation: words that hardly a translation leaves out; `not_negation`: phrases such as "not only".
        near_negation: words that may stand for a negation, e.g. "without", "only"."""

    numbers: WordTable
    loose: WordTable
    multipliers: WordTable
    not_multipliers: tuple[str, ...]
    months: WordTable
    afternoon: re.Pattern[str]
    is_attached: bool
    eras: Mapping[str, int]
    calendar: int
    centuries: tuple[str, ...]
    names_centuries_by_hundreds: bool
    negation: WordTable
    near_negation: WordTable
    not_negation: tuple[str, ...]


@functools.cache
def lexicon(lang: Lang) -> Lexicon | None:
    """Return the words of a language, None for a language without a file."""
    path = _FOLDER / f"{lang.split('-')[0]}.yaml"
    return _read(yaml_files.read_yaml(path)) if path.is_file() else None


def _read(data: Mapping[str, Any]) -> Lexicon:
    months = {name: number for number, names in enumerate(data["months"], 1) for name in names.split()}
    is_attached = bool(data.get("is_attached", False))
    return Lexicon(
        numbers=WordTable(data["numbers"]),
        loose=WordTable(data.get("loose", {})),
        multipliers=WordTable(data["multipliers"]),
        not_multipliers=tuple(data.get("not_multipliers", ())),
        months=WordTable(months),
        afternoon=_any_of(data["afternoon"], is_attached=is_attached),
        is_attached=is_attached,
        eras=data.get("eras", {}),
        calendar=data.get("calendar", 0),
        centuries=tuple(data.get("centuries", ())),
        names_centuries_by_hundreds=bool(data.get("names_centuries_by_hundreds", False)),
        negation=WordTable(dict.fromkeys(data["negation"], 1)),
        near_negation=WordTable(dict.fromkeys(data["near_negation"], 1)),
        not_negation=tuple(data.get("not_negation", ())),
    )


def _any_of(words: list[str], *, is_attached: bool) -> re.Pattern[str]:
    pattern = "|".join(map(_pattern, words))
    return re.compile(pattern if is_attached else rf"(?<!\w)(?:{pattern})(?!\w)")


def _pattern(word: str) -> str:
    return re.escape(word).replace(r"\*", r"\w*")
