"""A question of a dataset and everything that its answers are scored against."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from qttrag.types import Lang, Passage

CHOICE_LETTERS = "ABCDEFGHIJ"
"""The letters by which a question lists its choices, in order."""


@dataclass(frozen=True, slots=True)
class Question:
    """`answers`: the references; empty if none is known. `official_answers`: those that the dataset's own scorer
    compares with; None if it has no scorer. `elsewhere`: the references in other languages, if known.
    `gold`: ids of relevant passages, if known. `relevance`: the grades of judged passages, if they are not 1 for the
    relevant ones alone. `passages`: the passages to read instead of searching, which may
    be none; None: search.
    `answerable`: whether those passages have the answer; None if that is not known.
    `choices`: the answers to choose from, which `text` lists; empty for a free answer. `nuggets`: the facts that a
    complete answer has, each in one or several wordings; empty if they are not known."""

    question_id: str
    text: str
    lang: Lang
    answers: tuple[str, ...]
    elsewhere: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    gold: tuple[str, ...] = ()
    passages: tuple[Passage, ...] | None = None
    official_answers: tuple[str, ...] | None = None
    relevance: Mapping[str, int] = field(default_factory=dict)
    answerable: bool | None = None
    choices: tuple[str, ...] = ()
    nuggets: tuple[tuple[str, ...], ...] = ()

    @property
    def judgements(self) -> Mapping[str, int]:
        """Return the relevance of judged passages by id; empty if none is judged."""
        return self.relevance or dict.fromkeys(self.gold, 1)


def with_choices(question: str, choices: Sequence[str]) -> str:
    """Return the text of a question with its choices below, each with a letter."""
    return "\n".join([question, *(f"{letter}. {text}" for letter, text in zip(CHOICE_LETTERS, choices, strict=False))])
