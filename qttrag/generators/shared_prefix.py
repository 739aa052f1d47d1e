"""The beginning that the prompts of a batch share, computed once: verdicts share their instructions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

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


def of_batch(model: Any, prompts: Sequence[Sequence[int]]) -> SharedPrefix:
    """Return the prefix of the prompts, computed by one call; empty where it is short or the model cannot reuse it.

    At least one token of each prompt remains, from which its completion begins."""
    import torch
    from transformers import DynamicCache

    length = _common(prompts)
    if len(prompts) < 2 or length < _SHORTEST or not _reuses(model):
        return SharedPrefix(0, None)
    cache = DynamicCache(config=model.config)
    ids = torch.tensor([list(prompts[0][:length])], device=model.device)
    model.base_model(input_ids=ids, past_key_values=cache, use_cache=True)
    cache.batch_repeat_interleave(len(prompts))
    return SharedPrefix(length, cache)


def _common(prompts: Sequence[Sequence[int]]) -> int:
    shortest = min(prompts, key=len)
    differs = (n for n, token in enumerate(shortest[:-1]) if any(prompt[n] != token for prompt in prompts))
    return next(differs, len(shortest) - 1)


def _reuses(model: Any) -> bool:
    """Return whether every layer attends to all tokens: sliding windows and states count the padding in between."""
    from transformers import DynamicCache
    from transformers.cache_utils import DynamicLayer

    layers = DynamicCache(config=model.config).layers
    return not model._is_stateful and bool(layers) and all(type(layer) is DynamicLayer for layer in layers)
