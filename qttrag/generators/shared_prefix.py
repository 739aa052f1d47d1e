"""The beginning that the prompts of a batch share, computed once: verdicts share their instructions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from qttrag.generators.causal_models import CausalModel

_SHORTEST = 32  # tokens; a shorter beginning saves less than the extra call costs


class SharedPrefix(NamedTuple):
    """The first `length` tokens of every prompt of a batch. `cache`: their keys and values; None if `length` is 0."""

    length: int
    cache: Any

    def padded(self, ids: Sequence[int], width: int, pad: int) -> tuple[list[int], list[int]]:
        """Return a prompt with its padding after the prefix, and its attention mask, both of length `width`."""
        padding, rest = width - len(ids), len(ids) - self.length
        row = [*ids[: self.length], *[pad] * padding, *ids[self.length :]]
        return row, [1] * self.length + [0] * padding + [1] * rest


def of_batch(model: CausalModel, prompts: Sequence[Sequence[int]]) -> SharedPrefix:
    """Return the prefix of the prompts, computed by one call; empty where it is short or the model cannot reuse it.

    At least one token of each prompt remains, from which its completion begins."""
    length = _common(prompts)
    if len(prompts) < 2 or length < _SHORTEST:
        return SharedPrefix(0, None)
    cache = model.begun(prompts[0][:length], len(prompts))
    return SharedPrefix(0, None) if cache is None else SharedPrefix(length, cache)


def _common(prompts: Sequence[Sequence[int]]) -> int:
    shortest = min(prompts, key=len)
    differs = (n for n, token in enumerate(shortest[:-1]) if any(prompt[n] != token for prompt in prompts))
    return next(differs, len(shortest) - 1)
