"""Tokens of the texts that an encoder reads, and the dimensions of its vectors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from qttrag.errors import ConfigError
from qttrag.types import Tokens

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
        raise ConfigError(f"{_STAGE}: the encoder's tokenizer has no tokenizer.json; save it again with transformers 5")
    encodings = tokenizer(list(texts), truncation=True, max_length=max_tokens, verbose=False).encodings
    return [
        Tokens(
            _text_read(text, encoding.offsets) if encoding.overflowing else text,
            encoding.ids,
            bool(encoding.overflowing),
        )
        for text, encoding in zip(texts, encodings, strict=True)
    ]


def _text_read(text: str, offsets: Sequence[tuple[int, int]]) -> str:
    """Return the beginning of a text that its tokens cover; special tokens have the offsets (0, 0)."""
    return text[: max(end for _, end in offsets)]
