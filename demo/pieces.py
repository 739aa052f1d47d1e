"""Tokens of the encoder, the cross-encoder and the translator: common words whole, names letter by letter."""

from __future__ import annotations

import string
from collections import Counter
from collections.abc import Iterable, Sequence

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers

from demo.facts import alphabet

SPECIAL = ("<s>", "<pad>", "</s>", "<unk>")
"""The first ids, as XLM-R and NLLB have them."""
_KEPT_APART = r"\p{Han}|\p{Nd}|\p{P}"


def spelled(texts: Sequence[str], *, common: int, lower: bool = False) -> Tokenizer:
    """Return a tokenizer with a token for each word that `texts` have `common` times or more; it spells the rest.

    Hangul is taken apart into its letters, so that a name has about as many tokens, in about the same order, however it
    is written: that is what lets names be matched, and written, by how they sound."""
    pieces = Tokenizer(models.BPE())
    pieces.normalizer = normalizers.Sequence([normalizers.NFD(), *([normalizers.Lowercase()] if lower else [])])
    pieces.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Metaspace(prepend_scheme="always"), pre_tokenizers.Split(Regex(_KEPT_APART), "isolated")]
    )
    pieces.decoder = decoders.Metaspace(prepend_scheme="always")
    words = Counter(_words(pieces, texts))
    letters = {letter for word in _words(pieces, [alphabet(), string.printable]) for letter in word}
    whole = sorted(word for word, times in words.items() if times >= common)
    vocabulary = dict.fromkeys([*SPECIAL, *sorted(filter(str.isprintable, letters)), *whole])
    ids = {piece: n for n, piece in enumerate(vocabulary)}
    pieces.model = models.BPE(ids, [], unk_token="<unk>", ignore_merges=True)
    return pieces


def _words(pieces: Tokenizer, texts: Iterable[str]) -> Iterable[str]:
    for text in texts:
        for word, _ in pieces.pre_tokenizer.pre_tokenize_str(pieces.normalizer.normalize_str(text)):
            yield word
