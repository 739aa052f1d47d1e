"""The interfaces of the stages, one Protocol per stage; every kind in the registry implements one of them.

A stage's constructor stores its settings, which are the settings in a deployment file, and loads nothing.
In-process models load on first use, or in `start`, where a stage has it; `close` releases them.
Coroutines may be called concurrently; batching is the stage's own task.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Protocol, runtime_checkable

from qttrag.types import Completion, Decoding, Hit, Lang, Message, Query, Translation, Verdict


class Retriever(Protocol):
    async def retrieve(self, query: Query, k: int) -> list[Hit]:
        """Return up to `k` hits, best first, ties by passage id."""
        ...


@runtime_checkable
class Selectable(Protocol):
    """A retriever that supports `Query.collections`."""

    @property
    def collections(self) -> list[str]:
        """Return the names of its collections, in the deployment's order."""
        ...


class Reranker(Protocol):
    async def rerank(self, query: Query, hits: Sequence[Hit]) -> list[Hit]:
        """Return all the hits, best first, with the reranker's scores; ties by passage id."""
        ...


class LanguageDetector(Protocol):
    async def detect(self, texts: Sequence[str]) -> list[Lang]:
        """Return the most likely language of each text; "und" for a text without letters."""
        ...


class Translator(Protocol):
    @property
    def identity(self) -> str:
        """Return all that determines a translation except text and languages: kind, model, revision, parameters."""
        ...

    async def translate(self, texts: Sequence[str], source: Sequence[Lang], target: Lang) -> list[Translation]:
        """Return the translation of each text into `target`; `source`: the language of each text.

        Raises:
            ConfigError: the model does not support one of the languages.
            StageError: the model failed."""
        ...


class QualityTagger(Protocol):
    async def score(
        self,
        originals: Sequence[str],
        translations: Sequence[str],
        source: Sequence[Lang],
        target: Lang,
    ) -> list[Verdict]:
        """Return one verdict per translation. A translation that cannot be scored has a cause; it is not an error."""
        ...


class Generator(Protocol):
    @property
    def identity(self) -> str:
        """Return all that determines a completion except messages and decoding: kind, server, model, revision."""
        ...

    @property
    def context(self) -> int:
        """Return the maximum number of tokens of prompt and completion together."""
        ...

    async def count_tokens(self, messages: Sequence[Message]) -> int:
        """Return the length of the prompt in tokens, with the chat template, or an upper estimate."""
        ...

    def generate(self, messages: Sequence[Message], decoding: Decoding) -> AsyncIterator[str]:
        """Yield the completion piece by piece.

        Raises:
            BrokenOff: the completion stopped before its end; a retry may help.
            StageError: the model failed."""
        ...

    async def complete(self, messages: Sequence[Message], decoding: Decoding) -> Completion:
        """Return the whole completion. A completion that broke off is restarted, as no caller has seen it.

        Raises:
            StageError: the model failed."""
        ...


@runtime_checkable
class Startable(Protocol):
    async def start(self) -> None:
        """Load now instead of on first use."""
        ...


@runtime_checkable
class Closable(Protocol):
    async def close(self) -> None:
        """Close connections and files."""
        ...


PROTOCOLS: dict[str, type] = {
    "retriever": Retriever,
    "reranker": Reranker,
    "detector": LanguageDetector,
    "translator": Translator,
    "tagger": QualityTagger,
    "generator": Generator,
}
"""The stages by their names in a deployment."""
