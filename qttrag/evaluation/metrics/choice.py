"""Whether the right one of several answers was chosen, by its letter or by its text."""

from __future__ import annotations

import re
from collections.abc import Sequence

from qttrag.evaluation.datasets.questions import CHOICE_LETTERS
from qttrag.evaluation.metrics.base import AnswerCase, measure
from qttrag.text.matching import contains_normalised, normalise

_LETTER = re.compile(r"\W*([a-j])(?:\W|$)")


@measure("choice", signature="choice|letter,text", references=True)
def choice(case: AnswerCase) -> float | None:
    """Return whether the answer is the right choice; an answer that names none, or several, is wrong."""
    if not case.question.choices:
        return None
    chosen = chosen_of(case.prediction, case.question.choices)
    return float(chosen is not None and case.question.choices[chosen] in case.question.answers)


def chosen_of(text: str, choices: Sequence[str]) -> int | None:
    """Return the number of the choice that a text names; None if it names none, or several.

    The text of a choice counts before its letter, because an answer may begin with the article "A"."""
    normal, normalised = normalise(text), [normalise(each) for each in choices]
    if normal in normalised:
        return normalised.index(normal)
    if (match := _LETTER.match(normal)) and (place := CHOICE_LETTERS.lower().index(match[1])) < len(choices):
        rest = normal[match.end() :].strip()
        if not rest or rest == normalised[place]:
            return place
    named = [n for n, each in enumerate(normalised) if contains_normalised(normal, each)]
    return named[0] if len(named) == 1 else None
