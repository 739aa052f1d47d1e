"""SMaLL-100 (arXiv:2210.11621) on both engines: an M2M100 whose only code is the target's, before the source."""

from __future__ import annotations

from pathlib import Path

from qttrag.translators import m2m100
from qttrag.translators.ctranslate2 import CTranslate2Translator
from qttrag.translators.families import ModelFamily
from qttrag.translators.tokenization import PretrainedTokenizer
from qttrag.translators.transformers_seq2seq import TransformersTranslator


def tokenizer(path: Path) -> PretrainedTokenizer:
    return PretrainedTokenizer(path, target_tag=m2m100.code)


SMALL100 = ModelFamily("small100", frozenset({"m2m_100"}), tokenizer)


class Small100Translator(CTranslate2Translator):
    family = SMALL100


class Small100TransformersTranslator(TransformersTranslator):
    family = SMALL100
