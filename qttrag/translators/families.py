"""What distinguishes families of sequence-to-sequence models, and what is checked and recorded for all of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from qttrag.errors import ConfigError
from qttrag.models import loading
from qttrag.protocols import TranslationTokenizer
from qttrag.translators.segments import MIN_SENTENCE_TOKENS, Segmentation

METHOD = 2  # raised when the same settings give other translations than before, so that no cached one is used


class ModelFamily(NamedTuple):
    """`name`: in the identity of translations. `model_types`: of config.json. `tokenizer`: opens a model's folder."""

    name: str
    model_types: frozenset[str]
    tokenizer: Callable[[Path], TranslationTokenizer]

    def locate(self, model: str, revision: str | None) -> loading.LocatedModel:
        return loading.locate("translator", model, revision=revision, model_types=self.model_types)


def check_sizes(**sizes: int) -> None:
    """Refuse sizes with which nothing can be translated.

    Raises:
        ConfigError: one is too small."""
    least = {"max_sentence_tokens": MIN_SENTENCE_TOKENS}
    for name, value in sizes.items():
        if value < least.get(name, 1):
            raise ConfigError(f"translator: `{name}: {value}` is too small; set it to {least.get(name, 1)} or more")


def identity(
    name: str, located: loading.LocatedModel, segmentation: Segmentation, beam_size: int, compute_type: str
) -> str:
    """Return what translations depend on. A model folder counts by its contents, not by its path."""
    return f"{name}:{METHOD}|{located.revision}|{compute_type}|beam:{beam_size}|{segmentation.unit}" + (
        f":{segmentation.max_tokens}" if segmentation.unit == "sentence" else ""
    )
