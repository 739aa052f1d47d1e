"""M2M100 (arXiv:2010.11125) on both engines: 100 languages, with codes such as "__ko__" where NLLB has its own."""

from __future__ import annotations

from pathlib import Path

from qttrag.text.languages import Language
from qttrag.translators.ctranslate2 import CTranslate2Translator
from qttrag.translators.families import ModelFamily
from qttrag.translators.tokenization import PretrainedTokenizer
from qttrag.translators.transformers_seq2seq import TransformersTranslator

_OTHER_CODES = {"nb": "no", "nso": "ns"}


def _code(row: Language) -> str:
    return f"__{_OTHER_CODES.get(row.code, row.code)}__"


def tokenizer(path: Path) -> PretrainedTokenizer:
    return PretrainedTokenizer(path, source_tag=_code, output_tag=_code)


M2M100 = ModelFamily("m2m100", frozenset({"m2m_100"}), tokenizer)


class M2M100Translator(CTranslate2Translator):
    family = M2M100


class M2M100TransformersTranslator(TransformersTranslator):
    family = M2M100
