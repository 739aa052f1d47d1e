"""SeamlessM4T (arXiv:2308.11596), its text part: about 100 languages, marked by codes of ISO 639-3 such as "__kor__".

On transformers alone: CTranslate2 does not convert it."""

from __future__ import annotations

from pathlib import Path

from qttrag.text.languages import Language
from qttrag.translators.families import ModelFamily
from qttrag.translators.tokenization import PretrainedTokenizer
from qttrag.translators.transformers_seq2seq import TransformersTranslator

_OTHER_CODES = {"zh": "cmn", "zh-Hant": "cmn_Hant"}


def _code(row: Language) -> tuple[str]:
    return (f"__{_OTHER_CODES.get(row.code, row.nllb.split('_')[0])}__",)


def tokenizer(path: Path) -> PretrainedTokenizer:
    """Return a SeamlessM4T tokenizer: the source begins with the code of its language, the output with the target's."""
    return PretrainedTokenizer(path, source_tag=_code, output_tag=_code)


SEAMLESS = ModelFamily("seamless", frozenset({"seamless_m4t", "seamless_m4t_v2"}), tokenizer)


class SeamlessTransformersTranslator(TransformersTranslator):
    """Translator kind `seamless_transformers`: the text part of a SeamlessM4T checkpoint on transformers.

    Languages count by their main script, but Chinese has two."""

    family = SEAMLESS
