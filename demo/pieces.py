"""Pieces of words for the encoder, the cross-encoder and the translator."""

from __future__ import annotations

from collections.abc import Iterable

from tokenizers import Regex, Tokenizer, models, pre_tokenizers, trainers

from demo.facts import alphabet

_KEPT_APART = r"\p{Han}|\p{Hangul}|\p{Nd}|\p{P}"
SPECIAL = ["<s>", "<pad>", "</s>", "<unk>"]


def words(kept_apart: str) -> pre_tokenizers.PreTokenizer:
    """Return what cuts a text into words, each character that `kept_apart` matches on its own."""
    return pre_tokenizers.Sequence(
        [pre_tokenizers.Metaspace(prepend_scheme="always"), pre_tokenizers.Split(Regex(kept_apart), "isolated")]
    )


def train_pieces(texts: Iterable[str], size: int) -> Tokenizer:
    """Return byte-pair pieces in the id layout of XLM-R and NLLB: Han, Hangul and digits one by one, else words."""
    trained = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True))
    trained.pre_tokenizer = words(_KEPT_APART)
    trainer = trainers.BpeTrainer(
        vocab_size=size, special_tokens=SPECIAL, initial_alphabet=list(alphabet()), show_progress=False
    )
    trained.train_from_iterator(texts, trainer)
    return trained
