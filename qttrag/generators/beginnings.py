"""The instructions with which prompts begin: what a model computed for them, kept for later prompts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from qttrag.types import Message

State = TypeVar("State")

SHORTEST = 64  # tokens; a shorter beginning saves less than it costs
_KEPT = 2048  # tokens of all kept beginnings: some 60 MB for a model of 1.5 B in 16 bits
_SYSTEM_TURNS = 32


class Beginnings(Generic[State]):
    """What one model computed for the first tokens of prompts; the least recently used ones are dropped."""

    def __init__(self) -> None:
        self._kept: dict[tuple[int, ...], State] = {}  # the last used one at the end

    def get(self, ids: Sequence[int]) -> State | None:
        """Return what is kept for exactly these tokens."""
        key = tuple(ids)
        if key not in self._kept:
            return None
        self._kept[key] = state = self._kept.pop(key)
        return state

    def keep(self, ids: Sequence[int], state: State) -> None:
        self._kept[tuple(ids)] = state
        while len(self._kept) > 1 and sum(map(len, self._kept)) > _KEPT:
            del self._kept[next(iter(self._kept))]


class SystemTurns:
    """How many tokens of a prompt are before the user's text: the system turn, which has the instructions.

    `prompt`: returns the tokens of a chat."""

    def __init__(self, prompt: Callable[[Sequence[Message]], list[int]]) -> None:
        self._prompt = prompt
        self._ids: dict[str, list[int]] = {}  # by the text of the turn; the oldest first

    def length(self, messages: Sequence[Message], ids: Sequence[int]) -> int:
        """Return the number for a chat, whose prompt is `ids`: less than all tokens; 0 where it would be small."""
        system = messages[0]
        if system["role"] != "system" or len(messages) == 1:
            return 0
        if system["content"] not in self._ids:
            one, other = (self._prompt([system, {"role": "user", "content": text}]) for text in "?!")
            self._ids[system["content"]] = one[: common(one, other)]
            if len(self._ids) > _SYSTEM_TURNS:
                del self._ids[next(iter(self._ids))]
        length = common(ids[:-1], self._ids[system["content"]])
        return length if length >= SHORTEST else 0


def common(one: Sequence[int], other: Sequence[int]) -> int:
    """Return how many tokens two prompts share at their beginning."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((n for n, (a, b) in pairs if a != b), min(len(one), len(other)))
