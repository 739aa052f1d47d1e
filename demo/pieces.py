"""Tokenizers of the encoder, cross-encoder and translator: a token per common word, names letter by letter."""

from __future__ import annotations

import string
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from demo.corpus import templates
from demo.facts import alphabet
from qttrag.text.transliteration import latin

_SPECIAL = ("<s>", "<pad>", "</s>", "<unk>")  # the first ids, as in XLM-R and NLLB
_KEPT_APART = r"\p{Han}|\p{Nd}|\p{P}"


def spelled(
    texts: Iterable[str], *, common: int, lower: bool = False, sounds: Mapping[str, str] = MappingProxyType({})
) -> Tokenizer:
    """Return a tokenizer with a token for each word that `texts` have `common` times or more; it spells the rest.

    Hangul is taken apart into its letters, so that a name has about as many tokens, in about the same order, however it
    is written: that is what lets names be matched, and written, by how they sound. `sounds`: what characters are read
    as, in small Latin letters; such a text cannot be written again."""
    pieces = Tokenizer(models.BPE())
    folding = [normalizers.NFD(), *([normalizers.Lowercase()] if lower else [])]
    pieces.normalizer = normalizers.Sequence(folding)
    pieces.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Metaspace(prepend_scheme="always"), pre_tokenizers.Split(Regex(_KEPT_APART), "isolated")]
    )
    pieces.decoder = decoders.Metaspace(prepend_scheme="always")
    reading = str.maketrans(dict(sounds))
    words = Counter(_words(pieces, (text.translate(reading) for text in texts)))
    letters = {letter for word in _words(pieces, [alphabet().translate(reading), string.printable]) for letter in word}
    whole = sorted(word for word, times in words.items() if times >= common)
    vocabulary = dict.fromkeys([*_SPECIAL, *sorted(filter(str.isprintable, letters)), *whole])
    ids = {piece: n for n, piece in enumerate(vocabulary)}
    pieces.model = models.BPE(ids, [], unk_token="<unk>", ignore_merges=True)
    replacements = [normalizers.Replace(character, sound) for character, sound in sounds.items()]
    pieces.normalizer = normalizers.Sequence([*folding, *replacements])
    return pieces


def chinese_sounds() -> dict[str, str]:
    """Return the sounds of the Chinese characters of names, as Pinyin without tones: "wu" for 乌.

    Characters of the questions and statements are left as they are, whose words have to be told from names."""
    lines = templates("zh")
    said = repr([*lines.statements.values(), *lines.questions.values()])
    return {
        character: latin(character).lower() for character in alphabet() if _is_han(character) and character not in said
    }


def _is_han(character: str) -> bool:
    return "\u4e00" <= character <= "\u9fff"


def for_transformers(pieces: Tokenizer, max_tokens: int, **more: str) -> Any:
    """Return the tokenizer as transformers saves and loads it. `more`: special tokens beside the first four."""
    begin, pad, end, unknown = _SPECIAL
    return PreTrainedTokenizerFast(
        tokenizer_object=pieces,
        bos_token=begin,
        eos_token=end,
        pad_token=pad,
        unk_token=unknown,
        model_max_length=max_tokens,
        model_input_names=["input_ids", "attention_mask"],
        **more,
    )


def _words(pieces: Tokenizer, texts: Iterable[str]) -> Iterator[str]:
    for text in texts:
        for word, _ in pieces.pre_tokenizer.pre_tokenize_str(pieces.normalizer.normalize_str(text)):
            yield word
