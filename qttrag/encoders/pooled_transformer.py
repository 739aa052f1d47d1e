"""Encoders that sentence-transformers saved, on transformers alone: a transformer, pooling, normalisation.

sentence-transformers imports scikit-learn and SciPy, a second or more of each command; most encoders need neither."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import torch

MODEL_TYPES = frozenset({"bert", "camembert", "distilbert", "modernbert", "mpnet", "qwen3", "roberta", "xlm-roberta"})
"""Architectures whose vectors are tested to equal those of sentence-transformers."""

_SETTINGS = {
    "transformer_task": "feature-extraction",
    "modality_config": {"text": {"method": "forward", "method_output_name": "last_hidden_state"}},
    "module_output_name": "token_embeddings",
}
_MODES = ("cls", "max", "mean", "mean_sqrt_len_tokens", "weightedmean", "lasttoken")
_OLD_NAMES = {"pooling_mode_cls_token": "cls"} | {f"pooling_mode_{mode}_tokens": mode for mode in ("max", "mean")} | {
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}  # fmt: skip


class Pooling(NamedTuple):
    """The modes of a Pooling module; their vectors are joined in this order."""

    modes: tuple[str, ...]


class Unsupported(NamedTuple):
    """Why a folder needs the package sentence-transformers."""

    reason: str


def pooling_of(path: Path) -> Pooling | Unsupported:
    """Return how the encoder in a folder pools, or why it is not a transformer with pooling alone."""
    listed = _json(path / "modules.json")
    names = [str(module["type"]).rsplit(".", 1)[-1] for module in listed]
    if names not in (["Transformer", "Pooling"], ["Transformer", "Pooling", "Normalize"]):
        return Unsupported(f"its modules are {', '.join(names)}")
    if not all(str(module["type"]).startswith("sentence_transformers.") for module in listed):
        return Unsupported("it has modules of its own")
    transformer, pooling = (path / str(module["path"]) for module in listed[:2])
    if transformer != path:
        return Unsupported("its transformer is in a folder of its own")
    if reason := unsupported_transformer(path, MODEL_TYPES, _SETTINGS):
        return Unsupported(reason)
    config = _json(pooling / "config.json")
    if config.get("include_prompt", True) is not True:
        return Unsupported("its pooling leaves out the prompt")
    modes = _modes(config)
    return Pooling(modes) if set(modes) <= set(_MODES) else Unsupported(f"its pooling is {', '.join(modes)}")


def unsupported_transformer(path: Path, model_types: Collection[str], settings: Mapping[str, Any]) -> str | None:
    """Return why the Transformer module in a folder needs the package sentence-transformers; None: it does not.

    `settings`: of the module, with the values that are supported; it may have less."""
    config = _json(path / "config.json")
    if config.get("model_type") not in model_types or "auto_map" in config:
        return f"its architecture is {config.get('model_type')}"
    if (path / "adapter_config.json").is_file():
        return "it is an adapter"
    supported = {"do_lower_case": False, **settings}
    saved = next(iter(sorted(path.glob("sentence_*_config.json"))), None)
    for name, value in ({} if saved is None else _json(saved)).items():
        if name != "max_seq_length" and (name not in supported or value != supported[name]):  # `max_tokens:` counts
            return f"its transformer has the setting {name}"
    if default := _json(path / "config_sentence_transformers.json", {}).get("default_prompt_name"):
        return f"it has the default prompt {default}"
    return None


def _modes(config: dict[str, Any]) -> tuple[str, ...]:
    """Return the modes of a Pooling module's config.json, of this or an earlier version of the package."""
    mode = config.get("pooling_mode")
    if mode is None:
        return tuple(new for old, new in _OLD_NAMES.items() if config.get(old)) or ("mean",)
    return (mode,) if isinstance(mode, str) else tuple(mode)


def _json(path: Path, otherwise: Any = None) -> Any:
    if otherwise is not None and not path.is_file():
        return otherwise
    return json.loads(path.read_text(encoding="utf-8"))


class PooledTransformer:
    """A loaded encoder.

    `dim`: of its vectors, which are not normalised. `tokenizer`: the model's own."""

    def __init__(self, path: Path, pooling: Pooling, *, device: str, dtype: str, max_tokens: int) -> None:
        """Load the model of `pooling_of(path)`."""
        import torch
        from transformers import AutoConfig, AutoModel, AutoTokenizer

        config: Any = AutoConfig.from_pretrained(path)
        config.use_cache = False  # of a causal model: nothing is generated
        model: Any = AutoModel.from_pretrained(
            path, config=config, dtype=getattr(torch, dtype), use_safetensors=True, local_files_only=True
        )
        self.tokenizer: Any = AutoTokenizer.from_pretrained(path, local_files_only=True)
        self.dim = len(pooling.modes) * int(config.hidden_size)
        self._model = model.to(device).eval()
        self._device = device
        self._pooling = pooling
        self._max_tokens = max_tokens

    def preprocess(self, texts: Sequence[str]) -> dict[str, Any]:
        """Return the tokens of texts, cut and padded, as the input of `outputs`."""
        features = self.tokenizer(
            list(texts), padding=True, truncation=True, max_length=self._max_tokens, return_tensors="pt", verbose=False
        )
        return {name: features[name] for name in ("input_ids", "attention_mask")}

    def outputs(self, features: dict[str, Any]) -> dict[str, Any]:
        """Return a batch with `token_embeddings`, the last hidden states, and `sentence_embedding`, the vectors, shape
        (number of texts, dim)."""
        inputs = {name: features[name].to(self._device) for name in ("input_ids", "attention_mask")}
        hidden = self._model(**inputs).last_hidden_state
        vectors = pooled(self._pooling.modes, hidden, inputs["attention_mask"])
        return {**inputs, "token_embeddings": hidden, "sentence_embedding": vectors}


def pooled(modes: Sequence[str], hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Return one vector per text, from states of shape (texts, tokens, dim) and a mask with 1 for each token.

    The definitions are those of sentence-transformers' Pooling; texts may be padded on either side."""
    import torch

    return torch.cat([_POOLED[mode](hidden, mask) for mode in modes], dim=-1)


def _at(hidden: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
    import torch

    return hidden[torch.arange(len(hidden), device=hidden.device), positions]


def _cls(hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    return _at(hidden, mask.int().argmax(dim=1))


def _lasttoken(hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    return _at(hidden, mask.shape[1] - 1 - mask.flip(1).int().argmax(dim=1))


def _max(hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    return hidden.masked_fill(mask.unsqueeze(-1) == 0, float("-inf")).max(dim=1).values


def _mean(hidden: torch.Tensor, mask: torch.Tensor, *, power: float = 1.0) -> torch.Tensor:
    """Return the sum of the states, in float32, over the number of tokens to the `power`."""
    import torch

    weights = mask.unsqueeze(-1).to(hidden.dtype)
    total = (hidden * weights).sum(dim=1, dtype=torch.float32)
    return (total / weights.sum(dim=1, dtype=torch.float32) ** power).to(hidden.dtype)


def _mean_sqrt(hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    return _mean(hidden, mask, power=0.5)


def _weightedmean(hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Return the mean of the states, each weighted with its position among the tokens, from 1."""
    weights = (mask.cumsum(dim=1) * mask).unsqueeze(-1).float()
    return ((hidden * weights).sum(dim=1) / weights.sum(dim=1)).to(hidden.dtype)


_POOLED: dict[str, Callable[[torch.Tensor, torch.Tensor], torch.Tensor]] = {
    "cls": _cls,
    "max": _max,
    "mean": _mean,
    "mean_sqrt_len_tokens": _mean_sqrt,
    "weightedmean": _weightedmean,
    "lasttoken": _lasttoken,
}
