"""The beginning that the prompts of a batch share, computed once: verdicts share their instructions."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any, NamedTuple

from qttrag.generators.beginnings import SHORTEST, Beginning, Beginnings, common


class SharedPrefix(NamedTuple):
    """The first `length` tokens of every prompt of a batch. `cache`: their keys and values; None if `length` is 0."""

    length: int
    cache: Any

    def padded(self, ids: Sequence[int], width: int, pad: int) -> tuple[list[int], list[int]]:
        """Return a prompt with its padding after the prefix, and its attention mask, both of length `width`."""
        padding, rest = width - len(ids), len(ids) - self.length
        row = [*ids[: self.length], *[pad] * padding, *ids[self.length :]]
        return row, [1] * self.length + [0] * padding + [1] * rest


def of_batch(model: Any, prompts: Sequence[Sequence[int]], beginnings: Beginnings[Any]) -> SharedPrefix:
    """Return the prefix of the prompts: one of `beginnings`, or computed by one call and kept there. A prompt on its
    own has what it shares with an earlier one. Empty where it is short or the model cannot reuse it.

    At least one token of each prompt remains, from which its completion begins."""
    length = _length(prompts, beginnings)
    if length < SHORTEST or not _reuses(model):
        return SharedPrefix(0, None)
    ids = list(prompts[0][:length])
    kept = beginnings.longest(ids)
    if kept is None or length - len(kept.ids) >= SHORTEST:
        kept = _computed(model, ids, kept)
        beginnings.keep(kept)
    cache = copy.deepcopy(kept.state)
    cache.batch_repeat_interleave(len(prompts))
    return SharedPrefix(len(kept.ids), cache)


def _length(prompts: Sequence[Sequence[int]], beginnings: Beginnings[Any]) -> int:
    """Return how many tokens the prompts share with each other, or a single one with an earlier one."""
    first, *others = prompts
    length = min((common(first[:-1], other[:-1]) for other in others), default=beginnings.shared(first))
    for prompt in prompts:
        beginnings.remember(prompt)
    return length


def _computed(model: Any, ids: list[int], start: Beginning[Any] | None) -> Beginning[Any]:
    """Return the keys and values of tokens, computed from the end of `start` on."""
    import torch
    from transformers import DynamicCache

    cache = DynamicCache(config=model.config) if start is None else copy.deepcopy(start.state)
    rest = ids[0 if start is None else len(start.ids) :]
    with torch.inference_mode():
        model.base_model(input_ids=torch.tensor([rest], device=model.device), past_key_values=cache, use_cache=True)
    return Beginning(ids, cache)


def _reuses(model: Any) -> bool:
    """Return whether every layer attends to all tokens: sliding windows and states count the padding in between."""
    from transformers import DynamicCache
    from transformers.cache_utils import DynamicLayer

    layers = DynamicCache(config=model.config).layers
    return not model._is_stateful and bool(layers) and all(type(layer) is DynamicLayer for layer in layers)
