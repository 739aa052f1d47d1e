"""Language models that complete a batch of prompts: those of transformers, and Llama in plain torch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from qttrag.models import checkpoints, llama

if TYPE_CHECKING:
    import torch

    from qttrag.generators.streaming import Streamer
    from qttrag.models.llama import Cache, Llama
    from qttrag.types import Decoding

Processor = Callable[[Any, Any], Any]
"""Tokens so far, shape (rows, tokens), and logits, shape (rows, vocabulary) -> logits."""


class CausalModel(Protocol):
    """A loaded model. `end_tokens`: those that its checkpoint names; [] if it names none."""

    vocab_size: int
    end_tokens: list[int]

    def begun(self, ids: Sequence[int], rows: int) -> Any:
        """Return what the model computed for the beginning of `rows` prompts; None if it cannot go on from there."""
        ...

    def complete(
        self, ids: Sequence[Sequence[int]], attention: Sequence[Sequence[int]], begun: Any, decoding: Decoding,
        processors: Sequence[Processor], streamer: Streamer, *, pad: int,
    ) -> None:  # fmt: skip
        """Write the completions of prompts, which are equally long with padding, into the streams of `streamer`.

        `attention`: 0 for padding. `begun`: of the tokens at the beginning of all prompts; None: of none."""
        ...


def load(folder: Path, device: str, dtype: str) -> CausalModel:
    """Load a model, without transformers' code where it can run so."""
    if device == "cpu" and dtype == "float32" and llama.unsupported(folder) is None:
        return PlainLlama(folder)
    import torch
    from transformers import AutoModelForCausalLM

    precision = dtype if dtype == "auto" else getattr(torch, dtype)
    model: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=precision, use_safetensors=True)
    return TransformersModel(model.to(device).eval())


class TransformersModel:
    """A model of transformers, on any device."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self.vocab_size = int(model.config.vocab_size)
        self.end_tokens = _numbers(model.generation_config.eos_token_id)

    def begun(self, ids: Sequence[int], rows: int) -> Any:
        import torch
        from transformers import DynamicCache

        if not self._reuses():
            return None
        cache = DynamicCache(config=self._model.config)
        row = torch.tensor([list(ids)], device=self._model.device)
        self._model.base_model(input_ids=row, past_key_values=cache, use_cache=True)
        cache.batch_repeat_interleave(rows)
        return cache

    def _reuses(self) -> bool:
        """Return whether every layer attends to all tokens: sliding windows and states count the padding in between."""
        from transformers import DynamicCache
        from transformers.cache_utils import DynamicLayer

        layers = DynamicCache(config=self._model.config).layers
        return not self._model._is_stateful and bool(layers) and all(type(layer) is DynamicLayer for layer in layers)

    def complete(
        self, ids: Sequence[Sequence[int]], attention: Sequence[Sequence[int]], begun: Any, decoding: Decoding,
        processors: Sequence[Processor], streamer: Streamer, *, pad: int,
    ) -> None:  # fmt: skip
        import torch
        from transformers import GenerationConfig, LogitsProcessorList, StoppingCriteriaList

        sampling = (
            {"do_sample": True, "temperature": decoding.temperature, "top_p": decoding.top_p, "top_k": 0}
            if decoding.temperature > 0
            else {"do_sample": False}
        )
        # without the checkpoint's own sampling settings, which would change greedy decoding
        self._model.generation_config = GenerationConfig(eos_token_id=streamer.end_tokens, pad_token_id=pad)
        self._model.generate(
            input_ids=torch.tensor(ids, device=self._model.device),
            attention_mask=torch.tensor(attention, device=self._model.device),
            past_key_values=begun,
            max_new_tokens=decoding.max_tokens,
            repetition_penalty=decoding.repetition_penalty,
            streamer=streamer,
            logits_processor=LogitsProcessorList(processors),
            stopping_criteria=StoppingCriteriaList([streamer.stopped]),
            **sampling,
        )


class PlainLlama:
    """Llama in plain torch, on the processor."""

    def __init__(self, folder: Path) -> None:
        self._model: Llama = llama.Llama(folder)
        self.vocab_size = self._model.vocab_size
        own = checkpoints.config(folder, "generation_config.json") or checkpoints.config(folder)
        self.end_tokens = _numbers(own.get("eos_token_id"))

    def begun(self, ids: Sequence[int], rows: int) -> Cache:
        import torch

        cache = self._model.cache(1, len(ids))
        row = torch.tensor([list(ids)])
        self._model(row, torch.ones_like(row, dtype=torch.bool), cache)
        return cache

    def complete(
        self, ids: Sequence[Sequence[int]], attention: Sequence[Sequence[int]], begun: Any, decoding: Decoding,
        processors: Sequence[Processor], streamer: Streamer, *, pad: int,
    ) -> None:  # fmt: skip
        import torch

        tokens, is_text = torch.tensor(ids), torch.tensor(attention, dtype=torch.bool)
        rows, length = tokens.shape
        room = length + decoding.max_tokens
        cache = self._model.cache(rows, room) if begun is None else begun.widened(rows, room)
        streamer.put(tokens)
        for _ in range(decoding.max_tokens):
            scores = self._model(tokens[:, cache.length :], is_text[:, cache.length :], cache)
            scores = _penalised(scores, tokens, decoding.repetition_penalty)
            for process in processors:
                scores = process(tokens, scores)
            done = streamer.stopped(tokens, scores)
            chosen = _chosen(scores, decoding).masked_fill(done, pad)
            streamer.put(chosen)
            tokens = torch.cat((tokens, chosen[:, None]), dim=1)
            is_text = torch.nn.functional.pad(is_text, (0, 1), value=True)
            if streamer.stopped(tokens, scores).all():
                return


def _numbers(tokens: int | list[int] | None) -> list[int]:
    return [] if tokens is None else tokens if isinstance(tokens, list) else [tokens]


def _penalised(scores: torch.Tensor, tokens: torch.Tensor, penalty: float) -> torch.Tensor:
    """Return scores with those of earlier tokens divided by the penalty, or multiplied where they are negative
    (arXiv:1909.05858)."""
    import torch

    if penalty == 1.0:
        return scores
    own = scores.gather(1, tokens)
    return scores.scatter(1, tokens, torch.where(own < 0, own * penalty, own / penalty))


def _chosen(scores: torch.Tensor, decoding: Decoding) -> torch.Tensor:
    """Return the token of each row: the most likely one, or at a temperature a random one of the nucleus `top_p`."""
    import torch

    if decoding.temperature <= 0:
        return scores.argmax(dim=-1)
    ordered, places = (scores / decoding.temperature).sort(dim=-1)
    outside = ordered.softmax(dim=-1).cumsum(dim=-1) <= 1 - decoding.top_p
    outside[:, -1] = False
    kept = ordered.masked_fill(outside, float("-inf")) if decoding.top_p < 1 else ordered
    probabilities = torch.empty_like(scores).scatter(1, places, kept).softmax(dim=-1)
    return torch.multinomial(probabilities, 1)[:, 0]
