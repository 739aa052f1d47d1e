"""Tiny causal models with random weights, saved for the public loaders: an encoder and rerankers.

The encoder and a reranker are Qwen3 (as Qwen3-Embedding, Qwen3-Reranker), one is Gemma (as bge-reranker-v2-gemma)."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

from tests.texts import LANGS, sentences

QUERY_PROMPT = "Instruct: Find passages\nQuery:"


def tokenizer(*, ends: bool) -> Any:
    """Return a tokenizer that pads on the left; `ends`: it puts the end token after each text, as for embeddings.

    "yes", "no", "Yes" and "No" are one token each."""
    from transformers import PreTrainedTokenizerFast

    bytes_ = Tokenizer(models.BPE())
    bytes_.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bytes_.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=1000, initial_alphabet=alphabet, show_progress=False)
    texts = [text for lang in LANGS for text in sentences(lang, 300)]
    bytes_.train_from_iterator([*texts, *["yes", "no", "Yes", "No"] * 300], trainer)
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    bytes_.add_special_tokens(special)
    if ends:
        end = (special[0], bytes_.token_to_id(special[0]))
        bytes_.post_processor = processors.TemplateProcessing(
            single=f"$A {end[0]}", pair=f"$A $B {end[0]}", special_tokens=[end]
        )
    return PreTrainedTokenizerFast(
        tokenizer_object=bytes_, eos_token=special[2], pad_token=special[0], padding_side="left", model_max_length=512
    )


def _config(vocab_size: int) -> Any:
    from transformers import Qwen3Config

    return Qwen3Config(
        vocab_size=vocab_size, hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, head_dim=16, max_position_embeddings=512, initializer_range=0.3, dtype="float32",
        tie_word_embeddings=True,
    )  # fmt: skip


def make_encoder(out: Path) -> Path:
    """Build an encoder like Qwen3-Embedding: a causal model, pooled at the last token, texts padded on the left."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer import modules
    from transformers import Qwen3Model

    own = tokenizer(ends=True)
    torch.manual_seed(6)
    base = out.with_name(out.name + "-base")
    Qwen3Model(_config(len(own))).save_pretrained(base)
    own.save_pretrained(base)
    parts = [
        modules.Transformer(str(base), max_seq_length=512),
        modules.Pooling(64, pooling_mode="lasttoken"),
        modules.Normalize(),
    ]
    SentenceTransformer(modules=parts, device="cpu", prompts={"query": QUERY_PROMPT, "document": ""}).save(str(out))
    shutil.rmtree(base)
    return out


def make_qwen3_reranker(out: Path) -> Path:
    """Build a causal language model like Qwen3-Reranker."""
    from transformers import Qwen3ForCausalLM

    own = tokenizer(ends=False)
    torch.manual_seed(7)
    Qwen3ForCausalLM(_config(len(own))).eval().save_pretrained(out)
    own.save_pretrained(out)
    return out


def make_gemma_reranker(out: Path) -> Path:
    """Build a causal language model like bge-reranker-v2-gemma; its texts have a token at the beginning."""
    from transformers import GemmaConfig, GemmaForCausalLM

    own = tokenizer(ends=False)
    own.bos_token = "<|im_start|>"
    torch.manual_seed(8)
    config = GemmaConfig(
        vocab_size=len(own), hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=1, head_dim=16, max_position_embeddings=512, initializer_range=0.3, dtype="float32",
        bos_token_id=own.bos_token_id, pad_token_id=own.pad_token_id, eos_token_id=own.eos_token_id,
    )  # fmt: skip
    GemmaForCausalLM(config).eval().save_pretrained(out)
    own.save_pretrained(out)
    return out
