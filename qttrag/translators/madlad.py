"""MADLAD-400 (arXiv:2309.04662, Apache-2.0), a T5 for some 400 languages: a tag such as "<2ko>" before the source."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from qttrag.text.languages import Language
from qttrag.translators.ctranslate2 import CTranslate2Translator
from qttrag.translators.families import ModelFamily
from qttrag.translators.tokenization import PretrainedTokenizer
from qttrag.translators.transformers_seq2seq import TransformersTranslator

_OTHER_CODES = {"he": "iw", "jv": "jw", "nb": "no", "tl": "fil"}
_ROOM = 512  # tokens; a T5 has relative positions and no maximum of its own
_CONTROL = r"<(?:2\w+|/?\w+)>"  # tags, and special tokens, which a unigram vocabulary holds as words


def _tag(row: Language) -> tuple[str, ...]:
    return tuple(f"<2{code}>" for code in (row.code.replace("-", "_"), _OTHER_CODES.get(row.code)) if code)


def _load(path: Path) -> Any:
    from transformers import PreTrainedTokenizerFast

    return PreTrainedTokenizerFast.from_pretrained(path)  # T5Tokenizer would take token 2, the end, for <unk>


def tokenizer(path: Path) -> PretrainedTokenizer:
    """Return a MADLAD-400 tokenizer: the source begins with the tag of the target language."""
    return PretrainedTokenizer(path, target_tag=_tag, max_tokens=_ROOM, control=_CONTROL, load=_load)


MADLAD = ModelFamily("madlad", frozenset({"t5"}), tokenizer)


class MadladTranslator(CTranslate2Translator):
    """Translator kind `madlad`: a MADLAD-400 checkpoint on CTranslate2."""

    family = MADLAD


class MadladTransformersTranslator(TransformersTranslator):
    """Translator kind `madlad_transformers`: a MADLAD-400 checkpoint on transformers."""

    family = MADLAD
