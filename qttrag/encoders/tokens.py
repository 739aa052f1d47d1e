"""Tokens of the texts that an encoder reads, and the dimensions of its vectors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from qttrag.errors import ConfigError
from qttrag.types import Tokens

if TYPE_CHECKING:
    from tokenizers import Encoding

_STAGE = "retriever"


def dimensions(own: int, truncate_dim: int | None, model: str) -> int:
    """Return the dimensions of the vectors of an encoder that has `own`.

    Raises:
        ConfigError: `truncate_dim` is not among them."""
    if truncate_dim is not None and not 1 <= truncate_dim <= own:
        raise ConfigError(f"encoder {model}: `truncate_dim: {truncate_dim}`: its vectors have {own} dimensions")
    return truncate_dim or own


def tokenised(tokenizer: Any, texts: Sequence[str], max_tokens: int) -> list[Tokens]:
    """Return the tokens of each text, cut to `max_tokens`.

    Raises:
        ConfigError: the tokenizer is written in Python and does not report what it cuts."""
    if not tokenizer.is_fast:
        raise no_fast_tokenizer()
    encodings = tokenizer(list(texts), truncation=True, max_length=max_tokens, verbose=False).encodings
    return [read_part(text, encoding) for text, encoding in zip(texts, encodings, strict=True)]


def no_fast_tokenizer() -> ConfigError:
    """Return the error of a tokenizer that is written in Python."""
    return ConfigError(f"{_STAGE}: the encoder's tokenizer has no tokenizer.json; save it again with transformers 5")


def read_part(text: str, encoding: Encoding) -> Tokens:
    """Return the tokens of a text, and its beginning that they cover; special tokens have the offsets (0, 0)."""
    is_cut = bool(encoding.overflowing)
    read = text[: max(end for _, end in encoding.offsets)] if is_cut else text
    return Tokens(read, encoding.ids, is_cut)
