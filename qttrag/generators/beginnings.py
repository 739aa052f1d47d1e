"""Beginnings that prompts share, such as their instructions: what a model computed for them, kept for later prompts."""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Sequence
from typing import Generic, NamedTuple, TypeVar

State = TypeVar("State")

SHORTEST = 64  # tokens; a shorter beginning saves less than it costs
_KEPT = 2048  # tokens of all kept beginnings: some 60 MB for a model of 1.5 B in 16 bits
_RECENT = 32  # prompts: those of a few questions
_OPENINGS = 64
_FEW = 8  # prompts; passages open the prompts of some models, instructions those of all others


class Beginning(NamedTuple, Generic[State]):
    """The first tokens of prompts, and what the model computed for them."""

    ids: list[int]
    state: State


class Beginnings(Generic[State]):
    """The beginnings of one model's prompts, used by one thread; the least recently used ones are dropped."""

    def __init__(self) -> None:
        self._recent: deque[list[int]] = deque(maxlen=_RECENT)
        self._kept: list[Beginning[State]] = []  # the last used one at the end

    def shared(self, prompt: Sequence[int]) -> int:
        """Return how many tokens a prompt shares with the beginning of an earlier one, less than all that it has."""
        return max((common(prompt[:-1], earlier) for earlier in self._recent), default=0)

    def remember(self, prompt: Sequence[int]) -> None:
        self._recent.append(list(prompt))

    def longest(self, ids: Sequence[int]) -> Beginning[State] | None:
        """Return the longest kept beginning of these tokens."""
        fitting = [kept for kept in self._kept if list(ids[: len(kept.ids)]) == kept.ids]
        if not fitting:
            return None
        found = max(fitting, key=lambda kept: len(kept.ids))
        self._kept.sort(key=lambda kept: kept is found)
        return found

    def keep(self, beginning: Beginning[State]) -> None:
        self._kept.append(beginning)
        while len(self._kept) > 1 and sum(len(kept.ids) for kept in self._kept) > _KEPT:
            del self._kept[0]


class Openings:
    """The first tokens of prompts, by which they are grouped: prompts with the same instructions share a batch."""

    def __init__(self) -> None:
        self._times: dict[tuple[int, ...], int] = {}  # the last seen one at the end

    def group(self, prompt: Sequence[int]) -> Hashable:
        """Return a key of the prompts that begin as this one does; None where few have begun so, which are not worth
        a batch of their own."""
        opening = tuple(prompt[:SHORTEST])
        self._times[opening] = times = self._times.pop(opening, 0) + 1
        if len(self._times) > _OPENINGS:
            del self._times[next(iter(self._times))]
        return opening if times > _FEW else None


def common(one: Sequence[int], other: Sequence[int]) -> int:
    """Return how many tokens two prompts share at their beginning."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((n for n, (a, b) in pairs if a != b), min(len(one), len(other)))
