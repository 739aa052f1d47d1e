"""The tokenizers of sequence-to-sequence translation models, and the tags that tell such a model the languages."""

from __future__ import annotations

import re
import unicodedata
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from qttrag.errors import ConfigError
from qttrag.models.loading import quiet
from qttrag.text.languages import Language, language
from qttrag.types import Lang

Tag = Callable[[Language], tuple[str, ...]]
"""The tokens by which models of a family may know a language; the first one in the vocabulary is the model's."""


def load(path: Path) -> Any:
    """Return the tokenizer that transformers saved in a folder, with the codes of languages in its vocabulary."""
    from transformers import AutoTokenizer

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Recommended: pip install sacremoses")  # Marian: loaded, never used
        tokenizer: Any = AutoTokenizer.from_pretrained(path)
    # M2M100Tokenizer has them beside its vocabulary, unless the folder lists them as special tokens
    if codes := getattr(tokenizer, "lang_token_to_id", {}):
        tokenizer.add_tokens(list(codes), special_tokens=True)
    return tokenizer


class PretrainedTokenizer:
    """A `TranslationTokenizer` from a folder that transformers saved.

    `source_tag`, `target_tag`: the tokens before the source text, of its own language and of the target language.
    `output_tag`: the first token of the output. None: the model has no such token. `max_tokens`: the model's maximum
    length, codes and end included; None: `max_position_embeddings` of its config.json. `control`: a regular expression
    for what the library would take for a token of its own in a text; a space after the first character prevents it.
    `load`: opens the library's tokenizer.

    Raises:
        ConfigError: the folder has no tokenizer that loads."""

    def __init__(
        self,
        path: Path,
        *,
        source_tag: Tag | None = None,
        target_tag: Tag | None = None,
        output_tag: Tag | None = None,
        max_tokens: int | None = None,
        control: str | None = None,
        load: Callable[[Path], Any] = load,
    ) -> None:
        from transformers import AutoConfig

        quiet()
        try:
            self._tokenizer: Any = load(path)
            config: Any = AutoConfig.from_pretrained(path)
        except Exception as error:  # the tokenizers library raises bare ones
            raise ConfigError(
                f"translator: the tokenizer in {path} does not load: {error}; fetch the model again"
            ) from error
        self.path = path
        self.end: str = self._tokenizer.eos_token
        max_tokens = config.max_position_embeddings if max_tokens is None else max_tokens
        self.room: int = min(self._tokenizer.model_max_length, max_tokens) - 2  # a tag and the end
        self._source_tag, self._target_tag, self._output_tag = source_tag, target_tag, output_tag
        self._control = None if control is None else re.compile(control)
        self.encode(["."])  # in the loading thread: the first call changes the tokenizer's settings

    def source_code(self, source: Lang, target: Lang) -> tuple[str, ...]:
        return self._tags((self._source_tag, source), (self._target_tag, target))

    def target_code(self, target: Lang) -> tuple[str, ...]:
        return self._tags((self._output_tag, target))

    def _tags(self, *tags: tuple[Tag | None, Lang]) -> tuple[str, ...]:
        return tuple(self._known(tag, lang) for tag, lang in tags if tag is not None)

    def _known(self, tag: Tag, lang: Lang) -> str:
        row = language(lang)
        for token in tag(row):
            if self._tokenizer.convert_tokens_to_ids(token) not in (None, self._tokenizer.unk_token_id):
                return token
        raise ConfigError(
            f"translator: the model in {self.path} does not know {row.name} ('{lang}', {' or '.join(tag(row))}); "
            "set `translator: {model: ...}` to one that does, or leave this language out"
        )

    def encode(self, texts: Sequence[str]) -> list[tuple[str, ...]]:
        if not texts:
            return []
        texts = [self._control.sub(_spaced, text) if self._control else text for text in texts]
        encoded = self._tokenizer(texts, add_special_tokens=False, split_special_tokens=True, verbose=False)
        return [tuple(self._tokenizer.convert_ids_to_tokens(ids)) for ids in encoded["input_ids"]]

    def decode(self, tokens: Sequence[str]) -> str:
        text: str = self._tokenizer.decode(self.ids(tokens), skip_special_tokens=True)
        return unicodedata.normalize("NFC", text.strip())

    def ids(self, tokens: Sequence[str]) -> list[int]:
        ids: list[int] = self._tokenizer.convert_tokens_to_ids(list(tokens))
        return ids

    def tokens(self, ids: Sequence[int]) -> list[str]:
        tokens: list[str | None] = self._tokenizer.convert_ids_to_tokens(list(ids))
        return [token for token in tokens if token is not None]  # vocabularies are padded to round sizes


def _spaced(match: re.Match[str]) -> str:
    return f"{match[0][0]} {match[0][1:]}"
