"""Whether an answer is in the language of its question: by script where that decides, else by the detector."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from qttrag.detectors.script import ScriptDetector
from qttrag.detectors.scripts import scripts_of
from qttrag.languages import LANGUAGES
from qttrag.types import Lang

_LONG = 20  # letters from which on fastText tells languages of one script apart
_LETTERS = {"Hans": ("Hani",), "Hant": ("Hani",), "Jpan": ("Kana", "Hani")}


class Said(NamedTuple):
    """An answer to judge. `references`: the gold answers."""

    answer: str
    lang: Lang
    references: Sequence[str]


async def in_language(said: Sequence[Said]) -> list[bool | None]:
    """Return of each answer whether it is in its language; None where nobody can tell.

    That is: an answer without letters; one in another script that a reference is written in, too (a name as it
    is); one in the right script, shared by several languages, of under 20 letters; Han alone for Japanese."""
    found = await ScriptDetector().detect([each.answer for each in said])
    return [_verdict(each, lang) for each, lang in zip(said, found, strict=True)]


def _verdict(said: Said, found: Lang) -> bool | None:
    letters = scripts_of(said.answer)
    if not letters:
        return None
    script = LANGUAGES[said.lang].script
    own = _LETTERS.get(script, (script,))
    if sum(letters[each] for each in own) == 0:
        return None if _as_a_reference(letters.most_common(1)[0][0], said.references) else False
    right = _same(found, said.lang)
    if script == "Jpan":
        return right or (None if not letters["Kana"] and found == "zh" else False)
    if _shared(script) and letters.total() < _LONG and _same_script(found, script):
        return None
    return right


def _as_a_reference(script: str, references: Sequence[str]) -> bool:
    return any(scripts_of(reference)[script] for reference in references)


def _same(found: Lang, wanted: Lang) -> bool:
    both_chinese = LANGUAGES[wanted].script in ("Hans", "Hant") and found == "zh"
    return both_chinese or found.split("-")[0] == wanted.split("-")[0]


def _same_script(found: Lang, script: str) -> bool:
    return found not in LANGUAGES or LANGUAGES[found].script == script


def _shared(script: str) -> bool:
    """Return whether several languages are written in it. Chinese has two scripts of its own here."""
    return script not in _LETTERS and sum(row.script == script for row in LANGUAGES.values()) > 1
