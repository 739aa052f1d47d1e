"""A tiny encoder of BGE-M3's form: XLM-R, the vector of the first token, two linear layers for all tokens."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import save_file

from tests import tiny_models
from tests.texts import LANGS, sentences

TOKEN_DIM = 32


def make(out: Path) -> Path:
    tiny_models.make_encoder(out, seed=11)
    hidden = _hidden_states(out)
    torch.manual_seed(12)
    sparse, colbert = (torch.randn(dim, hidden.shape[1]) / 8 for dim in (1, TOKEN_DIM))
    bias = -(hidden @ sparse[0]).median()[None]  # so that half of the weights are above 0
    save_file({"weight": sparse, "bias": bias}, out / "sparse_linear.safetensors")
    save_file({"weight": colbert, "bias": torch.randn(TOKEN_DIM)}, out / "colbert_linear.safetensors")
    return out


def _hidden_states(folder: Path) -> torch.Tensor:
    """Return the last hidden states of the tokens of some sentences, shape (tokens, 64)."""
    from transformers import AutoModel, AutoTokenizer

    texts = [text for lang in LANGS for text in sentences(lang, 5)]
    inputs = AutoTokenizer.from_pretrained(folder)(texts, return_tensors="pt", padding=True)
    with torch.inference_mode():
        states = AutoModel.from_pretrained(folder).eval()(**inputs).last_hidden_state
    kept: torch.Tensor = states[inputs["attention_mask"].bool()].clone()
    return kept
