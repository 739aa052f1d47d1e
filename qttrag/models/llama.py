"""Llama and Qwen2 in plain torch, in float32: transformers' models take 3 s to import, more than a short answer.

Logits equal those of transformers but for rounding; `unsupported` says what only transformers can run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from qttrag.models import checkpoints

if TYPE_CHECKING:
    import torch

_DEFAULTS = {
    "llama": {"hidden_act": "silu", "rms_norm_eps": 1e-6, "tie_word_embeddings": False},
    "qwen2": {"hidden_act": "silu", "rms_norm_eps": 1e-6, "tie_word_embeddings": False, "use_sliding_window": False},
}
_THETA = 10_000.0  # of rotary positions, where the checkpoint names none
_LINEAR = ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj",
           "mlp.gate_proj", "mlp.up_proj", "mlp.down_proj")  # fmt: skip
_NORMS = ("input_layernorm", "post_attention_layernorm")


def unsupported(folder: Path) -> str | None:
    """Return why a checkpoint cannot run here; None if it can. Only the beginnings of its weights' files are read."""
    config = checkpoints.config(folder)
    if config.get("model_type") not in _DEFAULTS or "auto_map" in config or "quantization_config" in config:
        return f"a '{config.get('model_type')}' model, or one with code or quantisation of its own"
    settings = {**_DEFAULTS[config["model_type"]], **config}
    if settings["hidden_act"] != "silu" or settings.get("use_sliding_window"):
        return "another activation or a sliding window"
    if _rope(config).get("rope_type", _rope(config).get("type", "default")) != "default":
        return "scaled rotary positions"
    names = checkpoints.shapes(folder)
    layers = range(config["num_hidden_layers"])
    needed = ["model.embed_tokens", "model.norm", *(f"model.layers.{n}.{part}" for n in layers for part in
              (*_LINEAR, *_NORMS))]  # fmt: skip
    needed += [] if settings["tie_word_embeddings"] else ["lm_head"]
    missing = [name for name in needed if f"{name}.weight" not in names]
    return f"its weights have no '{missing[0]}.weight'" if missing else None


def _rope(config: dict[str, Any]) -> dict[str, Any]:
    """Return the settings of rotary positions, of this or an earlier version of transformers."""
    return {"rope_theta": config.get("rope_theta", _THETA), **(config.get("rope_scaling") or {}),
            **(config.get("rope_parameters") or {})}  # fmt: skip


class Cache:
    """Keys and values of the tokens that were read, shape (layers, 2, rows, heads, `room`, dimensions)."""

    def __init__(self, layers: int, rows: int, heads: int, room: int, dim: int) -> None:
        import torch

        self.length = 0
        self._values = torch.zeros(layers, 2, rows, heads, room, dim)
        self._is_text = torch.zeros(rows, room, dtype=torch.bool)  # False: padding

    def widened(self, rows: int, room: int) -> Cache:
        """Return a cache of one row as one of `rows` equal rows with `room` for tokens."""
        layers, _, _, heads, _, dim = self._values.shape
        result = Cache(layers, rows, heads, room, dim)
        result.length = self.length
        result._values[..., : self.length, :] = self._values[..., : self.length, :]
        result._is_text[:, : self.length] = self._is_text[:, : self.length]
        return result

    def enter(self, is_text: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Add tokens; return their positions, shape (rows, tokens), and which tokens each of them attends to.

        Padding attends to itself: softmax over nothing is not a number."""
        import torch

        start, end = self.length, self.length + is_text.shape[1]
        self._is_text[:, start:end] = is_text
        known = self._is_text[:, :end]
        query, key = torch.arange(start, end)[:, None], torch.arange(end)
        mask = (key <= query) & (known[:, None, None, :] | (key == query))
        self.length = end
        return known.cumsum(1)[:, start:].sub(1).clamp(min=0), mask

    def store(self, layer: int, new: tuple[torch.Tensor, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        """Keep the keys and values of the entered tokens; return those of all."""
        kept = self._values[layer, :, :, :, : self.length]
        for part, values in zip(kept, new, strict=True):
            part[:, :, -values.shape[2] :] = values
        return kept[0], kept[1]


class Llama:
    """A loaded model."""

    def __init__(self, folder: Path) -> None:
        import torch

        config = checkpoints.config(folder)
        settings = {**_DEFAULTS[config["model_type"]], **config}
        self.vocab_size: int = config["vocab_size"]
        self._weights = checkpoints.tensors(folder)
        self._layers: int = config["num_hidden_layers"]
        self._heads: int = config.get("num_key_value_heads") or config["num_attention_heads"]
        self._dim: int = config.get("head_dim") or config["hidden_size"] // config["num_attention_heads"]
        self._eps: float = settings["rms_norm_eps"]
        self._head = "model.embed_tokens" if settings["tie_word_embeddings"] else "lm_head"
        self._frequencies = 1.0 / _rope(config)["rope_theta"] ** (torch.arange(0, self._dim, 2).float() / self._dim)

    def cache(self, rows: int, room: int) -> Cache:
        return Cache(self._layers, rows, self._heads, room, self._dim)

    def __call__(self, ids: torch.Tensor, is_text: torch.Tensor, cache: Cache) -> torch.Tensor:
        """Read tokens after those of the cache; return the logits after the last, shape (rows, vocabulary).

        `ids`: shape (rows, tokens). `is_text`: the same shape, False for padding."""
        import torch

        positions, mask = cache.enter(is_text)
        angles = (positions[..., None] * self._frequencies).repeat(1, 1, 2)[:, None]
        rotation = angles.cos(), angles.sin()
        states = torch.nn.functional.embedding(ids, self._weights["model.embed_tokens.weight"])
        for layer in range(self._layers):
            states = self._layer(layer, states, rotation, mask, cache)
        return self._linear(self._head, self._norm("model.norm", states[:, -1]))

    def _layer(
        self, layer: int, states: torch.Tensor, rotation: tuple[torch.Tensor, torch.Tensor], mask: torch.Tensor,
        cache: Cache,
    ) -> torch.Tensor:  # fmt: skip
        from torch.nn import functional

        at = f"model.layers.{layer}"
        normed = self._norm(f"{at}.input_layernorm", states)
        shape = states.shape[:2]
        query, key, value = (
            self._linear(f"{at}.self_attn.{part}_proj", normed).view(*shape, -1, self._dim).transpose(1, 2)
            for part in "qkv"
        )
        keys, values = cache.store(layer, (_rotated(key, *rotation), value))
        attended = functional.scaled_dot_product_attention(
            _rotated(query, *rotation), keys, values, attn_mask=mask, enable_gqa=True
        )
        states = states + self._linear(f"{at}.self_attn.o_proj", attended.transpose(1, 2).flatten(2))
        normed = self._norm(f"{at}.post_attention_layernorm", states)
        gate = functional.silu(self._linear(f"{at}.mlp.gate_proj", normed))
        return states + self._linear(f"{at}.mlp.down_proj", gate * self._linear(f"{at}.mlp.up_proj", normed))

    def _linear(self, name: str, states: torch.Tensor) -> torch.Tensor:
        from torch.nn import functional

        return functional.linear(states, self._weights[f"{name}.weight"], self._weights.get(f"{name}.bias"))

    def _norm(self, name: str, states: torch.Tensor) -> torch.Tensor:
        from torch.nn import functional

        return functional.rms_norm(states, states.shape[-1:], self._weights[f"{name}.weight"], self._eps)


def _rotated(states: torch.Tensor, cosines: torch.Tensor, sines: torch.Tensor) -> torch.Tensor:
    import torch

    first, second = states.chunk(2, dim=-1)
    return states * cosines + torch.cat((-second, first), dim=-1) * sines
