"""Marian models, such as OPUS-MT's (CC BY 4.0 or Apache-2.0): one model for each pair of languages."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Literal

from qttrag.text.languages import Language
from qttrag.translators.ctranslate2 import CTranslate2Translator
from qttrag.translators.families import ModelFamily
from qttrag.translators.pairs import PairedModel, PairTranslator
from qttrag.translators.segments import Unit
from qttrag.translators.tokenization import PretrainedTokenizer
from qttrag.translators.transformers_seq2seq import TransformersTranslator

_CONTROL = "^>>"  # which the library takes for the beginning of a tag
_OTHER_CODES = {"zh": ("cmn_Hans", "cmn"), "zh-Hant": ("cmn_Hant",), "ar": ("ara",), "nb": ("nob", "nor", "no")}


def _tag(row: Language) -> tuple[str, ...]:
    codes = (*_OTHER_CODES.get(row.code, ()), row.nllb, row.nllb.split("_")[0], row.code)
    return tuple(f">>{code}<<" for code in codes)


def tokenizer(path: Path) -> PretrainedTokenizer:
    """Return a Marian tokenizer. Only a model with several target languages has tags, before the source: ">>fin<<"."""
    vocabulary = json.loads((path / "vocab.json").read_text(encoding="utf-8"))
    has_tags = any(token.startswith(">>") and token.endswith("<<") for token in vocabulary)
    return PretrainedTokenizer(path, target_tag=_tag if has_tags else None, control=_CONTROL)


MARIAN = ModelFamily("marian", frozenset({"marian"}), tokenizer)


class _OnCTranslate2(CTranslate2Translator):
    family = MARIAN


class _OnTransformers(TransformersTranslator):
    family = MARIAN


class MarianTranslator(PairTranslator):
    """Translator kind `marian`: Marian checkpoints on CTranslate2.

    `models`: a model by pair, e.g. `ko-en: Helsinki-NLP/opus-mt-ko-en` or `ko-en: {model: ..., revision: ...}`. A pair
    without a model is translated into English and from there, where both have one; the translation has the flags of
    both steps. The other settings are those of the kind `nllb`, for each model."""

    def __init__(
        self,
        models: dict[str, str | PairedModel],
        *,
        device: str = "auto",
        compute_type: str = "auto",
        beam_size: int = 4,
        unit: Unit = "sentence",
        max_sentence_tokens: int = 200,
        batch_tokens: int = 4096,
        inter_threads: int = 1,
        intra_threads: int = 0,
    ) -> None:
        engine = functools.partial(
            _OnCTranslate2,
            device=device,
            compute_type=compute_type,
            beam_size=beam_size,
            unit=unit,
            max_sentence_tokens=max_sentence_tokens,
            batch_tokens=batch_tokens,
            inter_threads=inter_threads,
            intra_threads=intra_threads,
        )
        super().__init__(models, engine)


class MarianTransformersTranslator(PairTranslator):
    """Translator kind `marian_transformers`: Marian checkpoints on transformers; settings as of `marian`."""

    def __init__(
        self,
        models: dict[str, str | PairedModel],
        *,
        device: str = "auto",
        dtype: Literal["float32", "float16", "bfloat16"] = "float32",
        beam_size: int = 4,
        unit: Unit = "sentence",
        max_sentence_tokens: int = 200,
        batch_tokens: int = 4096,
    ) -> None:
        engine = functools.partial(
            _OnTransformers,
            device=device,
            dtype=dtype,
            beam_size=beam_size,
            unit=unit,
            max_sentence_tokens=max_sentence_tokens,
            batch_tokens=batch_tokens,
        )
        super().__init__(models, engine)
