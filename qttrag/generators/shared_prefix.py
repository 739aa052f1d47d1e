"""The beginning that the prompts of a batch share, computed once: verdicts share their instructions."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any, NamedTuple

from qttrag.generators.beginnings import SHORTEST, Beginnings, common


class SharedPrefix(NamedTuple):
    """The first `length` tokens of every prompt of a batch. `cache`: their keys and values; None if `length` is 0."""

    length: int
    cache: Any

    def padded(self, ids: Sequence[int], width: int, pad: int) -> tuple[list[int], list[int]]:
        """Return a prompt with its padding after the prefix, and its attention mask, both of length `width`."""
        padding, rest = width - len(ids), len(ids) - self.length
        row = [*ids[: self.length], *[pad] * padding, *ids[self.length :]]
        return row, [1] * self.length + [0] * padding + [1] * rest


def of_batch(
    model: Any, prompts: Sequence[Sequence[int]], beginnings: Beginnings[Any], instructions: int = 0
) -> SharedPrefix:
    """Return the prefix of the prompts: one of `beginnings`, or computed by one call and kept there; empty where it is
    short or the model cannot reuse it.

    `instructions`: the number of tokens with which all the prompts begin; 0: as many as they happen to share.
    At least one token of each prompt remains, from which its completion begins."""
    length = instructions or _shared(prompts)
    if length < SHORTEST or not _reuses(model):
        return SharedPrefix(0, None)
    ids = prompts[0][:length]
    kept = beginnings.get(ids)
    if kept is None:
        kept = _computed(model, ids)
        beginnings.keep(ids, kept)
    cache = copy.deepcopy(kept)
    cache.batch_repeat_interleave(len(prompts))
    return SharedPrefix(length, cache)


def _shared(prompts: Sequence[Sequence[int]]) -> int:
    first, *others = prompts
    return min((common(first[:-1], other[:-1]) for other in others), default=0)


def _computed(model: Any, ids: Sequence[int]) -> Any:
    """Return the keys and values of tokens."""
    import torch
    from transformers import DynamicCache

    cache = DynamicCache(config=model.config)
    with torch.inference_mode():
        model.base_model(input_ids=torch.tensor([ids], device=model.device), past_key_values=cache, use_cache=True)
    return cache


def _reuses(model: Any) -> bool:
    """Return whether every layer attends to all tokens: sliding windows and states count the padding in between."""
    from transformers import DynamicCache
    from transformers.cache_utils import DynamicLayer

    layers = DynamicCache(config=model.config).layers
    return not model._is_stateful and bool(layers) and all(type(layer) is DynamicLayer for layer in layers)
