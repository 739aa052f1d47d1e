"""What can be watched of a question while it is being answered."""

from __future__ import annotations

from typing import Literal, NamedTuple

from qttrag.types import TaggedPassage


class Event(NamedTuple):
    """Progress of one question: the passages after a step, or a piece of the answer.

    "again": the pieces so far are void, the answer begins anew; `text` says why."""

    kind: Literal["ranked", "translated", "tagged", "refined", "piece", "again"]
    passages: tuple[TaggedPassage, ...] = ()
    text: str = ""


def ignore(event: Event) -> None:
    """Do nothing with an event."""
