"""The recorded answer to one question of a run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from qttrag.types import TaggedPassage


class RankedPassage(NamedTuple):
    """A passage of a ranking, by its id."""

    passage_id: str
    score: float


@dataclass(frozen=True, slots=True)
class AnswerRecord:
    """The outcome of one question. `text` is None if it failed; `error` is then the cause.

    `context`: the passages that the generator read. `ranking`: all passages after reranking, best first.
    `search`: the key of the search in the run's search cache, which stores the texts of `ranking`.
    `abstained`: as in `Answer`; None if it was not recorded.
    `missing`: what is missing because a stage was unavailable, in words."""

    question_id: str
    text: str | None
    context: tuple[TaggedPassage, ...] = ()
    ranking: tuple[RankedPassage, ...] = ()
    search: str | None = None
    seconds: Mapping[str, float] = field(default_factory=dict)
    counts: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    error: str | None = None
    abstained: bool | None = None
    missing: tuple[str, ...] = ()

    @property
    def failed(self) -> bool:
        return self.text is None

    @property
    def degraded(self) -> bool:
        """Whether something is missing because a stage was unavailable."""
        return bool(self.missing) or any(passage.unscored == "unavailable" for passage in self.context)
