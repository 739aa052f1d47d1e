"""Names of an original that its translation lacks."""

from __future__ import annotations

import re

from qttrag.text.languages import LANGUAGES
from qttrag.text.names import CASED, WORD, capitalised_runs, habits, latin_names, may_be_name
from qttrag.text.transliteration import alike, folded
from qttrag.types import Lang

_KATAKANA_OR_LATIN = re.compile(r"[ァ-ヴー]{2,}|[A-Za-z]{2,}")
_READ = frozenset({"Hang", "Jpan"})  # others in which names can be compared by their sound
_ENGLISH = "en"  # writes every name, and what is made of names, with a capital


def missing_names(original: str, translation: str, source: Lang, target: Lang) -> tuple[str, ...]:
    """Return the names of the original, as written, that the translation lacks.

    A name is there if one of its words is, in a similar spelling or transliteration. As names may be translated
    ("Germany", "Saksa"), missing names count only if they are more than the capitalised words that the translation
    adds; names with a word such as "Sea" (`text/translated_names.yaml`) never count, and in translations into other
    languages than English only names of several words do.

    From scripts without capitals: the words in Latin letters, if the translation is in Latin letters. Nothing from
    languages that capitalise all nouns, nor into scripts that do not spell sounds as letters do."""
    if not (_is_known(source) and _is_known(target)):
        return ()
    names = _names(original, source, target)
    words = [key for word in _words(translation, target) if len(key := folded(word)) > 1]
    across = _script(source) != _script(target) and _script(source) in CASED
    missing = [name for name in names if not _is_there(name, words, across_scripts=across)]
    if missing and _script(source) in CASED:
        added = _added(original, translation, target, across_scripts=across)
        return tuple(missing) if len(missing) > len(added) else ()
    return tuple(missing)


def _names(text: str, source: Lang, target: Lang) -> list[str]:
    if _script(source) not in CASED:
        return latin_names(text) if _script(target) == "Latn" else []
    if _script(target) not in CASED | _READ or source in habits().capitalise_nouns:
        return []
    needed = 1 if target == _ENGLISH else 2
    names: dict[str, None] = {}
    for run in capitalised_runs(text):
        words = [word for word in run if may_be_name(word.text) and (needed > 1 or not word.initial)]
        if len(words) >= needed and not _is_translated([word.text for word in run], source):
            names[" ".join(word.text for word in words)] = None
    return list(names)


def _is_translated(words: list[str], source: Lang) -> bool:
    usually = habits().words.get(source, frozenset())
    return any(re.sub(r"['’]s?$", "", word.lower()) in usually for word in words)


def _is_there(name: str, words: list[str], *, across_scripts: bool) -> bool:
    keys = [*map(folded, name.split()), folded(name)]  # also joined: フォートグリーリー for "Fort Greely"
    return any(alike(key, word, across_scripts=across_scripts) for key in keys for word in words)


def _added(original: str, translation: str, target: Lang, *, across_scripts: bool) -> list[str]:
    """Return the capitalised words of a translation that are like none of the original: names that were translated."""
    if _script(target) not in CASED:
        return []
    known = [key for word in WORD.findall(original) if len(key := folded(word)) > 1]
    candidates = [
        word.text
        for run in capitalised_runs(translation)
        for word in run
        if not word.initial or len(folded(word.text)) > 4  # "Germany", not "The"
    ]
    return [
        word for word in candidates if not any(alike(folded(word), k, across_scripts=across_scripts) for k in known)
    ]


def _words(text: str, lang: Lang) -> list[str]:
    return (_KATAKANA_OR_LATIN if _script(lang) == "Jpan" else WORD).findall(text)


def _is_known(lang: Lang) -> bool:
    return lang in LANGUAGES


def _script(lang: Lang) -> str:
    return LANGUAGES[lang].script
