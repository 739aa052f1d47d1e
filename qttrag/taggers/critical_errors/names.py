"""Names of an original that its translation lacks."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from qttrag.config import yaml_files
from qttrag.text.languages import LANGUAGES
from qttrag.text.transliteration import alike, folded
from qttrag.types import Lang

_WORD = re.compile(r"[^\W\d_]+(?:['’.-][^\W\d_]+)*")
_LATIN_WORD = re.compile(r"[A-Za-z\u00c0-\u024f]{3,}")
_KATAKANA_OR_LATIN = re.compile(r"[ァ-ヴー]{2,}|[A-Za-z]{2,}")
_SENTENCE_BEGINS = re.compile(r"(?:^|[.!?:;…][\"'»”’)]*\s+|[\"'«“‘„(–—-]\s*|\n)$")
_ROMAN = re.compile(r"[IVXLivxl]+(?:e|er|ème|ste)?(?:-\w+)?")
_JOINTS = (" ", "-", " & ")
_CASED = frozenset({"Latn", "Cyrl", "Grek", "Armn"})  # scripts that write names with a capital
_READ = frozenset({"Hang", "Jpan"})  # others in which names can be compared by their sound
_ENGLISH = "en"  # writes every name, and what is made of names, with a capital


class _Word(NamedTuple):
    """A capitalised word. `initial`: it begins a sentence or a quotation, so that it may be no name."""

    text: str
    initial: bool


def missing_names(original: str, translation: str, source: Lang, target: Lang) -> tuple[str, ...]:
    """Return the names of the original, as written, that the translation lacks.

    A name is there if one of its words is, in a similar spelling or transliteration. As names may be translated
    ("Germany", "Saksa"), missing names count only if they are more than the capitalised words that the translation
    adds; names with a word such as "Sea" (`translated_names.yaml`) never count, and in translations into other
    languages than English only names of several words do.

    From scripts without capitals: the words in Latin letters, if the translation is in Latin letters. Nothing from
    languages that capitalise all nouns, nor into scripts that do not spell sounds as letters do."""
    if not (_is_known(source) and _is_known(target)):
        return ()
    names = _names(original, source, target)
    words = [key for word in _words(translation, target) if len(key := folded(word)) > 1]
    across = _script(source) != _script(target) and _script(source) in _CASED
    missing = [name for name in names if not _is_there(name, words, across_scripts=across)]
    if missing and _script(source) in _CASED:
        added = _added(original, translation, target, across_scripts=across)
        return tuple(missing) if len(missing) > len(added) else ()
    return tuple(missing)


def _names(text: str, source: Lang, target: Lang) -> list[str]:
    if _script(source) not in _CASED:
        return _latin_names(text) if _script(target) == "Latn" else []
    if _script(target) not in _CASED | _READ or source in _habits().capitalise_nouns:
        return []
    needed = 1 if target == _ENGLISH else 2
    names: dict[str, None] = {}
    for run in _capitalised(text):
        words = [word for word in run if _may_be_name(word.text) and (needed > 1 or not word.initial)]
        if len(words) >= needed and not _is_translated([word.text for word in run], source):
            names[" ".join(word.text for word in words)] = None
    return list(names)


def _latin_names(text: str) -> list[str]:
    return [word for word in dict.fromkeys(_LATIN_WORD.findall(text)) if word[0].isupper() and _may_be_name(word)]


def _may_be_name(word: str) -> bool:
    return len(folded(word)) > 2 and not _ROMAN.fullmatch(word)


def _is_translated(words: list[str], source: Lang) -> bool:
    usually = _habits().words.get(source, frozenset())
    return any(re.sub(r"['’]s?$", "", word.lower()) in usually for word in words)


def _is_there(name: str, words: list[str], *, across_scripts: bool) -> bool:
    keys = [*map(folded, name.split()), folded(name)]  # also joined: フォートグリーリー for "Fort Greely"
    return any(alike(key, word, across_scripts=across_scripts) for key in keys for word in words)


def _added(original: str, translation: str, target: Lang, *, across_scripts: bool) -> list[str]:
    """Return the capitalised words of a translation that are like none of the original: names that were translated."""
    if _script(target) not in _CASED:
        return []
    known = [key for word in _WORD.findall(original) if len(key := folded(word)) > 1]
    candidates = [
        word.text
        for run in _capitalised(translation)
        for word in run
        if not word.initial or len(folded(word.text)) > 4  # "Germany", not "The"
    ]
    return [
        word for word in candidates if not any(alike(folded(word), k, across_scripts=across_scripts) for k in known)
    ]


def _words(text: str, lang: Lang) -> list[str]:
    return (_KATAKANA_OR_LATIN if _script(lang) == "Jpan" else _WORD).findall(text)


def _capitalised(text: str) -> list[list[_Word]]:
    """Return the runs of capitalised words, such as "Mikhail Gorbachev"."""
    runs: list[list[_Word]] = []
    end = -1
    for match in _WORD.finditer(text):
        if not match.group()[0].isupper():
            continue
        before = text[: match.start()]
        initial = not before.strip() or _SENTENCE_BEGINS.search(before[-8:]) is not None
        if runs and text[end : match.start()] in _JOINTS and not initial:
            runs[-1].append(_Word(match.group(), initial=False))
        else:
            runs.append([_Word(match.group(), initial)])
        end = match.end()
    return runs


def _is_known(lang: Lang) -> bool:
    return lang in LANGUAGES


def _script(lang: Lang) -> str:
    return LANGUAGES[lang].script


class _Habits(NamedTuple):
    """`capitalise_nouns`: languages whose nouns all have a capital. `words`: by language, words that are translated."""

    capitalise_nouns: frozenset[str]
    words: Mapping[str, frozenset[str]]


@functools.cache
def _habits() -> _Habits:
    data = yaml_files.read_yaml(Path(__file__).parent / "translated_names.yaml")
    words = {lang: frozenset(words.split()) for lang, words in data["words"].items()}
    return _Habits(frozenset(data["capitalise_nouns"]), words)
