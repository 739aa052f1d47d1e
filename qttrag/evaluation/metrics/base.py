"""What a measure is: a function from one answer to one value, with the name and the signature of its figures."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

from qttrag.errors import ConfigError
from qttrag.evaluation.answers import AnswerRecord
from qttrag.evaluation.datasets.questions import Question

Unit = Literal["%", ""]
Value = float | tuple[float, float] | None
"""A number, whose figure is the mean over the answers; a share as (how many, of how many); None for "cannot tell"."""


@dataclass(frozen=True, slots=True, eq=False)
class QuestionSet:
    """All questions of one row of the tables. `kind`: the kind of its dataset."""

    kind: str
    questions: Sequence[Question]


class PassageMatch(NamedTuple):
    """`native`: the passage is in the language of the question. `has_answer`: it contains a reference."""

    native: bool
    has_answer: bool


@dataclass(frozen=True, slots=True, eq=False)
class AnswerCase:
    """One answer with everything that measures may use. Cases are compared by identity, so they can be cache keys.

    `ranked`: the passages of the ranking, best first; None if their texts are unavailable.
    `retrieval`: figures of the ranking by name; None without gold passages.
    `judged`: a judge's verdict, None without one. `support`: for each sentence of the answer, whether each passage that
    was read supports it, None for undecided; None without a judge of support.
    `stage_seconds`: the seconds charged to each stage, None for unknown ones; None: those of the answer itself."""

    question: Question
    answer: AnswerRecord
    question_set: QuestionSet
    ranked: Sequence[PassageMatch] | None = None
    retrieval: Mapping[str, float] | None = None
    stage_seconds: Mapping[str, float | None] | None = None
    judged: bool | None = None
    support: Sequence[Sequence[bool | None]] | None = None

    @property
    def prediction(self) -> str:
        return self.answer.text or ""


Function = Callable[[AnswerCase], Value]


@dataclass(frozen=True, slots=True)
class Measure:
    """A measure. `signature`: its exact definition. `unit` "%": values are shares, shown times 100.
    `less`: a lower figure is better.

    `official`: it compares with the question's `official_answers`. `references`: it compares with references, and
    cannot tell anything about a question that has none.
    `functions`: by the kind of dataset that a function is for; None for all kinds."""

    name: str
    signature: str
    unit: Unit
    less: bool
    functions: Mapping[str | None, Function]
    official: bool = False
    references: bool = False

    def __call__(self, case: AnswerCase) -> Value:
        if self.references and not case.question.answers:
            return None
        function = self.functions.get(case.question_set.kind) or self.functions.get(None)
        return None if function is None else function(case)

    def merge(self, other: Measure) -> Measure:
        """Return one measure with the functions of both, which are for different kinds of datasets.

        Raises:
            ConfigError: their definitions differ, or both have a function for the same kind."""
        if replace(other, functions=self.functions) != self or self.functions.keys() & other.functions.keys():
            raise ConfigError(f"two measures have the name '{self.name}'; rename one of them")
        return replace(self, functions={**self.functions, **other.functions})


def measure(
    name: str,
    *,
    signature: str,
    unit: Unit = "%",
    less: bool = False,
    dataset: str | None = None,
    official: bool = False,
    references: bool = False,
) -> Callable[[Function], Measure]:
    """Declare a function as a measure; `dataset`: the one kind of dataset that it is for. `official`: it equals the
    figures of that dataset's own scorer, and compares with the question's `official_answers`. `references`: it needs
    the question's `answers`.

    It is computed for every answer that did not fail if its module is in this package, or if another package names
    the module or the function as an entry point in the group "qttrag.measure"."""
    return lambda function: Measure(name, signature, unit, less, {dataset: function}, official, references)
