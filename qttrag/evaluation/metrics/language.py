"""Whether an answer is in the language of its question: by script where that decides, else by the detector."""

from __future__ import annotations

import functools
from collections.abc import Sequence

from qttrag.detectors.script import detect
from qttrag.evaluation.metrics.base import AnswerCase, measure
from qttrag.text.languages import LANGUAGES
from qttrag.text.scripts import scripts_of
from qttrag.types import Lang

_LONG = 20  # letters from which on fastText tells languages of one script apart
_LETTERS = {"Hans": ("Hani",), "Hant": ("Hani",), "Jpan": ("Kana", "Hani")}


def in_language(answer: str, lang: Lang, references: Sequence[str]) -> bool | None:
    """Return whether an answer is in `lang`; None where nobody can tell. `references`: the gold answers.

    Nobody can tell of an answer without letters; of one in another script that a reference is in, too (a name as
    it is); of one in the right script, shared by several languages, of under 20 letters; of Han alone, for Japanese."""
    letters = scripts_of(answer)
    if not letters:
        return None
    script = LANGUAGES[lang].script
    own = _LETTERS.get(script, (script,))
    if sum(letters[each] for each in own) == 0:
        return None if _as_a_reference(letters.most_common(1)[0][0], references) else False
    found = detect(answer)
    right = _same(found, lang)
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


@functools.cache
def _shared(script: str) -> bool:
    """Return whether several languages are written in it. Chinese has two scripts of its own here."""
    return script not in _LETTERS and sum(row.script == script for row in LANGUAGES.values()) > 1


@measure("correct_language", signature="correct-language|script,fasttext|of:decided")
def correct_language(case: AnswerCase) -> float | None:
    correct = in_language(case.prediction, case.question.lang, case.question.answers)
    return None if correct is None else float(correct)
