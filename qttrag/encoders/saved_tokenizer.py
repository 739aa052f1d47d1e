"""The tokenizer of an encoder without transformers, whose import takes seconds.

transformers may build a tokenizer otherwise than its tokenizer.json says. So transformers loads it once, and what it
built is saved in the cache folder, from where each later process loads it with the package tokenizers alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from qttrag.encoders.tokens import no_fast_tokenizer, read_part
from qttrag.models import conversion
from qttrag.models.loading import LocatedModel
from qttrag.types import Tokens

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_FILE = "tokenizer.json"


class SavedTokenizer:
    """The tokenizer of a model. `lengths` and `tokenise` may run in different threads."""

    def __init__(self, stage: str, located: LocatedModel, *, max_tokens: int) -> None:
        """Load the tokenizer; the first time, with transformers.

        Raises:
            ConfigError: the tokenizer is written in Python, or the cache folder cannot be written."""
        from tokenizers import Tokenizer

        folder = conversion.converted(stage, located, "tokenizer", lambda folder: _save(located.path, folder))
        file = str(folder / _FILE)
        self._whole, self._cutting = Tokenizer.from_file(file), Tokenizer.from_file(file)
        self._whole.no_truncation()
        side = (self._cutting.truncation or {}).get("direction", "right")
        self._cutting.enable_truncation(max_tokens, direction=side)

    def lengths(self, texts: Sequence[str]) -> list[int]:
        """Return the length of each text in tokens, special tokens included, before it is cut."""
        return [len(encoding.ids) for encoding in self._whole.encode_batch(list(texts))]

    def tokenise(self, texts: Sequence[str]) -> list[Tokens]:
        """Return the tokens of each text, cut to `max_tokens`."""
        encodings = self._cutting.encode_batch(list(texts))
        return [read_part(text, encoding) for text, encoding in zip(texts, encodings, strict=True)]


def _save(model: Path, folder: Path) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(model, local_files_only=True)
    if not tokenizer.is_fast:
        raise no_fast_tokenizer()
    backend: Tokenizer = tokenizer.backend_tokenizer
    backend.no_padding()
    backend.enable_truncation(512, direction=tokenizer.truncation_side)  # the length is set when it is loaded
    folder.mkdir(parents=True)
    (folder / _FILE).write_text(backend.to_str(), encoding="utf-8")  # its own `save` raises no OSError
