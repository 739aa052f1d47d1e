"""A question of a dataset, with all that its answers are scored against."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from qttrag.types import Lang, Passage


@dataclass(frozen=True, slots=True)
class Question:
    """`answers`: the references, one at least. `elsewhere`: the same in other languages, where they are known.
    `gold`: ids of passages that hold the answer, where they are known. `passages`: what is to be read for it, where
    nothing is to be searched."""

    question_id: str
    text: str
    lang: Lang
    answers: tuple[str, ...]
    elsewhere: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    gold: tuple[str, ...] = ()
    passages: tuple[Passage, ...] = ()
