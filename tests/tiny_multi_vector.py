"""A tiny multi-vector model like BGE-M3's: XLM-R, a linear layer for each token, vectors of all but the first token."""

from __future__ import annotations

import shutil
from pathlib import Path

import torch

from tests import tiny_models


def make(out: Path, *, similarity: str = "meanmaxsim") -> Path:
    from sentence_transformers import MultiVectorEncoder
    from sentence_transformers.base.modules import Normalize, Transformer
    from sentence_transformers.base.modules.dense import Dense
    from sentence_transformers.multi_vector_encoder.modules import MultiVectorMask
    from transformers import XLMRobertaModel

    tokenizer = tiny_models.xlmr_tokenizer()
    torch.manual_seed(9)
    base = out.with_name(out.name + "-base")
    XLMRobertaModel(tiny_models._xlmr_config(len(tokenizer))).save_pretrained(base)
    tokenizer.save_pretrained(base)
    modules = [
        Transformer(str(base), max_seq_length=128),
        Dense(64, 32, activation_function=torch.nn.Identity(), module_input_name="token_embeddings"),
        MultiVectorMask(skiplist_words=["<s>"], skiplist_tasks=["query", "document"]),
        Normalize(module_input_name="token_embeddings"),
    ]
    MultiVectorEncoder(modules=modules, device="cpu", similarity_fn_name=similarity).save(str(out))
    shutil.rmtree(base)
    return out
