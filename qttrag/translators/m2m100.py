"""M2M100 (arXiv:2010.11125, MIT licence): 100 languages, marked by codes such as "__ko__"."""

from __future__ import annotations

from pathlib import Path

from qttrag.text.languages import Language
from qttrag.translators.ctranslate2 import CTranslate2Translator
from qttrag.translators.families import ModelFamily
from qttrag.translators.tokenization import PretrainedTokenizer
from qttrag.translators.transformers_seq2seq import TransformersTranslator

_OTHER_CODES = {"nb": "no", "nso": "ns"}


def code(row: Language) -> tuple[str]:
    """Return the token by which M2M100 and models made from it know a language."""
    return (f"__{_OTHER_CODES.get(row.code, row.code)}__",)


def tokenizer(path: Path) -> PretrainedTokenizer:
    """Return an M2M100 tokenizer: the source begins with the code of its language, the output with the target's."""
    return PretrainedTokenizer(path, source_tag=code, output_tag=code)


M2M100 = ModelFamily("m2m100", frozenset({"m2m_100"}), tokenizer)


class M2M100Translator(CTranslate2Translator):
    """Translator kind `m2m100`: an M2M100 checkpoint on CTranslate2."""

    family = M2M100


class M2M100TransformersTranslator(TransformersTranslator):
    """Translator kind `m2m100_transformers`: an M2M100 checkpoint on transformers."""

    family = M2M100
