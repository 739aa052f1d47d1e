"""MADLAD-400 (arXiv:2309.04662), a T5, on both engines: a tag such as "<2ko>" before the source, no other code."""

from __future__ import annotations

from pathlib import Path

from qttrag.translators.ctranslate2 import CTranslate2Translator
from qttrag.translators.families import ModelFamily
from qttrag.translators.tokenization import PretrainedTokenizer
from qttrag.translators.transformers_seq2seq import TransformersTranslator


def tokenizer(path: Path) -> PretrainedTokenizer:
    return PretrainedTokenizer(path, target_tag=lambda row: f"<2{row.code}>", max_tokens=512)


MADLAD = ModelFamily("madlad", frozenset({"t5"}), tokenizer)


class MadladTranslator(CTranslate2Translator):
    family = MADLAD


class MadladTransformersTranslator(TransformersTranslator):
    family = MADLAD
