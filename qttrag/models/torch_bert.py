"""BERT, RoBERTa and XLM-R in plain torch, in float32: transformers' models take 3 s to import.

Hidden states equal those of transformers but for rounding; `bert.unsupported` says what cannot run here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from qttrag.models import checkpoints
from qttrag.models.bert import EMBEDDINGS, FIRST_POSITIONS, PREFIXES, layer_names

if TYPE_CHECKING:
    import torch


class TorchBert:
    """A loaded encoder without head. `dim`: of its hidden states."""

    def __init__(self, folder: Path) -> None:
        config = checkpoints.config(folder)
        self.dim: int = config["hidden_size"]
        self._heads: int = config["num_attention_heads"]
        self._layers: int = config["num_hidden_layers"]
        self._eps: float = config["layer_norm_eps"]
        self._padding: int = config["pad_token_id"]
        self._counts_text = FIRST_POSITIONS[config["model_type"]] > 0
        self._activation = _activation(config["hidden_act"])
        self._weights = checkpoints.tensors(folder)
        self._at = next(at for at in PREFIXES if f"{at}{EMBEDDINGS['words']}.weight" in self._weights)

    def __call__(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        """Return the last layer's output, shape (rows, tokens, dim); both arguments have the shape (rows, tokens)."""
        from torch.nn import functional

        states = functional.embedding(input_ids, self._weight("words"))
        states = states + self._weight("types")[0]
        states = states + functional.embedding(self._positions(input_ids), self._weight("positions"))
        states = self._norm(EMBEDDINGS["norm"], states)
        mask = attention_mask.bool()[:, None, None, :]
        for layer in range(self._layers):
            states = self._layer(layer_names(layer), states, mask)
        return states

    def _positions(self, input_ids: torch.Tensor) -> torch.Tensor:
        """Return the row of the position table for each token: fairseq's models count from the padding's number."""
        import torch

        if not self._counts_text:
            return torch.arange(input_ids.shape[1])
        is_text = input_ids.ne(self._padding).long()
        return is_text.cumsum(dim=1) * is_text + self._padding

    def _layer(self, names: Sequence[str], states: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        from torch.nn import functional

        *projections, output, norm, inner, outer, last_norm = names
        query, key, value = (
            self._linear(name, states).view(*states.shape[:2], self._heads, -1).transpose(1, 2) for name in projections
        )
        attended = functional.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        states = self._norm(norm, self._linear(output, attended.transpose(1, 2).flatten(2)) + states)
        return self._norm(last_norm, self._linear(outer, self._activation(self._linear(inner, states))) + states)

    def _weight(self, name: str) -> torch.Tensor:
        return self._weights[f"{self._at}{EMBEDDINGS[name]}.weight"]

    def _linear(self, name: str, states: torch.Tensor) -> torch.Tensor:
        from torch.nn import functional

        return functional.linear(
            states, self._weights[f"{self._at}{name}.weight"], self._weights[f"{self._at}{name}.bias"]
        )

    def _norm(self, name: str, states: torch.Tensor) -> torch.Tensor:
        from torch.nn import functional

        weight, bias = (self._weights[f"{self._at}{name}.{part}"] for part in ("weight", "bias"))
        return functional.layer_norm(states, (self.dim,), weight, bias, self._eps)


def _activation(name: str) -> Callable[[torch.Tensor], torch.Tensor]:
    from torch.nn import functional

    functions: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
        "gelu": functional.gelu,
        "gelu_new": partial(functional.gelu, approximate="tanh"),
        "relu": functional.relu,
    }
    return functions[name]
