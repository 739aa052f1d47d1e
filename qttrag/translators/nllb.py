"""NLLB-200 (arXiv:2207.04672): 202 languages, marked by FLORES-200 codes such as "kor_Hang"."""

from __future__ import annotations

from pathlib import Path

from qttrag.text.languages import Language
from qttrag.translators.ctranslate2 import CTranslate2Translator
from qttrag.translators.families import ModelFamily
from qttrag.translators.tokenization import PretrainedTokenizer
from qttrag.translators.transformers_seq2seq import TransformersTranslator


def _code(row: Language) -> tuple[str]:
    return (row.nllb,)


def tokenizer(path: Path) -> PretrainedTokenizer:
    """Return an NLLB tokenizer: the source begins with the code of its language, the output with the target's."""
    return PretrainedTokenizer(path, source_tag=_code, output_tag=_code)


NLLB = ModelFamily("nllb", frozenset({"m2m_100"}), tokenizer)


class NllbTranslator(CTranslate2Translator):
    """Translator kind `nllb`: an NLLB-200 checkpoint on CTranslate2."""

    family = NLLB


class NllbTransformersTranslator(TransformersTranslator):
    """Translator kind `nllb_transformers`: an NLLB-200 checkpoint on transformers."""

    family = NLLB
