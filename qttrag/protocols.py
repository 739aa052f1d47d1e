"""The interfaces of the stages, one Protocol per stage; every kind in the registry implements one of them.

A stage's constructor stores its settings, which are the settings in a deployment file, and loads nothing.
In-process models load on first use, or in `start`, where a stage has it; `close` releases them.
Coroutines may be called concurrently; batching is the stage's own task.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING, Literal, Protocol, runtime_checkable

from qttrag.types import (
    Completion,
    Criterion,
    Decoding,
    Embeddings,
    EncoderInfo,
    Hit,
    Lang,
    Message,
    Prepared,
    Query,
    TextRole,
    Tokens,
    TokenWeights,
    Translation,
    Verdict,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Retriever(Protocol):
    async def retrieve(self, query: Query, k: int) -> list[Hit]:
        """Return up to `k` hits, best first, ties by passage id.

        Raises:
            PartialHits: some of the collections could not be searched; it has the hits of the others.
            StageUnavailable: none could be searched."""
        ...


@runtime_checkable
class Selectable(Protocol):
    """A retriever that supports `Query.collections`."""

    @property
    def collections(self) -> list[str]:
        """Return the names of its collections, in the deployment's order."""
        ...


@runtime_checkable
class Embedder(Protocol):
    """A retriever that gives the vectors of texts as it has them in its own searches."""

    async def embed(self, texts: Sequence[str], role: TextRole | None) -> Embeddings:
        """Return unit vectors of texts. `role`: the prefix to put before each; None: none.

        Raises:
            StageError: the model or server failed. CollectionError: a collection is missing or damaged."""
        ...


class QueryEncoder(Protocol):
    """A loaded encoder of queries: synchronous, in batches. One thread at a time encodes; another may count lengths."""

    @property
    def info(self) -> EncoderInfo: ...

    @property
    def device(self) -> str:
        """Return the device or server that does the work; models with the same one take turns."""
        ...

    def lengths(self, texts: Sequence[str]) -> list[int]:
        """Return the length of each text in tokens."""
        ...

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return unit vectors, float32, shape (len(texts), dim). Texts are cut to `info.max_tokens`.

        Raises:
            StageError: the model or server failed."""
        ...


@runtime_checkable
class Parallel(Protocol):
    """A `QueryEncoder` whose `encode` may be called by several threads at the same time: one behind servers."""

    @property
    def parallel_batches(self) -> int:
        """Return how many batches it encodes at the same time."""
        ...


class PassageEncoder(Protocol):
    """A loaded encoder of passages: a build tokenises in one thread and encodes in another."""

    @property
    def info(self) -> EncoderInfo: ...

    def tokenise(self, texts: Sequence[str]) -> list[Tokens]:
        """Return the tokens of each text, cut to `info.max_tokens`. Called in the thread of `prepare`."""
        ...

    def prepare(self, tokens: Sequence[Tokens]) -> Prepared:
        """Return a batch for `encode_prepared`."""
        ...

    def encode_prepared(self, prepared: Prepared) -> NDArray[np.float32]:
        """Return unit vectors, float32, shape (number of texts, dim), in the order of the batch.

        Raises:
            StageError: the model or server failed."""
        ...


class Encoder(Protocol):
    """The settings of an encoder, for queries (in a deployment) and for passages (in a recipe)."""

    @property
    def batch_tokens(self) -> int:
        """Return how many tokens, padding included, a batch of queries may have."""
        ...

    @property
    def batch_texts(self) -> int | None:
        """Return how many texts a batch of passages may have; None: as many as fit."""
        ...

    def load(self) -> QueryEncoder:
        """Load an encoder of queries.

        Raises:
            ConfigError: there is no such model. StageError: a server does not answer."""
        ...

    def load_for_passages(self) -> list[PassageEncoder]:
        """Load an encoder for each batch that may be encoded at the same time: one per device, or one several times.

        Raises:
            ConfigError: there is no such model. StageError: a server does not answer."""
        ...


class VectorStore(Protocol):
    """A collection of passages with their vectors. It opens on first use; methods are called by one thread at a time.

    Every member but `name` raises CollectionError if the collection is missing or damaged, and StageUnavailable if a
    server with it is down, overloaded or slow."""

    @property
    def name(self) -> str:
        """Return the name by which a question chooses the collection."""
        ...

    @property
    def languages(self) -> list[Lang]:
        """Return the languages of its passages."""
        ...

    @property
    def encoder(self) -> EncoderInfo:
        """Return the encoder of its vectors."""
        ...

    @property
    def identity(self) -> str:
        """Return what hits depend on beside the query: equal identities have equal passages and vectors."""
        ...

    def search(
        self, vectors: NDArray[np.float32], k: int, languages: Sequence[Lang] | Literal["all"]
    ) -> list[list[Hit]]:
        """Return up to `k` hits a query, best first, ties by passage id; only passages in `languages`.

        `vectors`: unit vectors of the queries, float32, shape (n, dim). Scores are cosines."""
        ...


@runtime_checkable
class WeightedStore(Protocol):
    """A `VectorStore` that also searches by learned weights of tokens, where its passages have them.

    It has methods alone, since `isinstance` reads the properties of a Protocol, and those of a store open it."""

    def check_weights(self) -> None:
        """Raises CollectionError if the passages have no weights."""
        ...

    def search_weights(
        self, weights: TokenWeights, k: int, languages: Sequence[Lang] | Literal["all"]
    ) -> list[list[Hit]]:
        """Return up to `k` hits a query, best first, ties by passage id; passages that share no token are none.

        `weights`: of the queries' tokens; each query has some. A score is the sum, over the tokens that the passage
        shares with the query, of the products of their weights."""
        ...


@runtime_checkable
class Prefetchable(Protocol):
    """A store that can read its files into memory before the first search."""

    def read_ahead(self) -> int:
        """Read them and return the bytes read; 0 where memory is too small for them."""
        ...


@runtime_checkable
class Placed(Protocol):
    """A store that is searched elsewhere than in this process."""

    @property
    def place(self) -> str:
        """Return the server that does the work; stores at the same place are searched one after another."""
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

        A text without letters is copied. A text is returned unchanged with the flag `UNSUPPORTED` if the translator
        does not support the target or, where it depends on it, the text's language (which may be unknown, or "und").

        Raises:
            StageError: the model failed."""
        ...


class TranslationTokenizer(Protocol):
    """A loaded tokenizer of a sequence-to-sequence model, and the codes that tell the model the languages.

    A text is only ever text: a special token or a code in it is encoded as letters. Tokens are strings."""

    @property
    def room(self) -> int:
        """Return the most tokens of a text or translation, not counting codes and end."""
        ...

    @property
    def end(self) -> str:
        """Return the token after the last one of a text."""
        ...

    def source_code(self, source: Lang, target: Lang) -> tuple[str, ...]:
        """Return the tokens before a text.

        Raises:
            ConfigError: the model does not know one of the languages."""
        ...

    def target_code(self, target: Lang) -> tuple[str, ...]:
        """Return the first tokens of the output, which the decoder is given; as many for every language.

        Raises:
            ConfigError: the model does not know the language."""
        ...

    def encode(self, texts: Sequence[str]) -> list[tuple[str, ...]]:
        """Return the tokens of each text, without codes and end."""
        ...

    def decode(self, tokens: Sequence[str]) -> str:
        """Return the text of tokens, in NFC."""
        ...

    def ids(self, tokens: Sequence[str]) -> list[int]:
        """Return the number of each token in the model's vocabulary."""
        ...

    def tokens(self, ids: Sequence[int]) -> list[str]:
        """Return the token of each number; numbers without a token are left out."""
        ...


class QualityTagger(Protocol):
    @property
    def measures(self) -> Sequence[Criterion]:
        """Return the criteria that its scores have: all three, or "semantic" alone."""
        ...

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
        """Yield the completion piece by piece; work begins with the first one. Reasoning is left out; where it turns
        out that all text so far was reasoning, `qttrag.types.RESTART` is yielded.

        A stream that is a `qttrag.generators.completion_stream.CompletionStream` is cached as a whole completion.

        Raises:
            BrokenOff: the completion stopped before its end; a retry may help.
            StageError: the model failed."""
        ...

    async def complete(self, messages: Sequence[Message], decoding: Decoding) -> Completion:
        """Return the whole completion. A completion that broke off is restarted, as no caller has seen it.

        Raises:
            StageError: the model failed."""
        ...


class SupportJudge(Protocol):
    """A judge of `qttrag eval support`. It may be asked about several pairs at the same time."""

    @property
    def identity(self) -> str:
        """Return all that determines a verdict except the texts: kind, model, revision, prompt."""
        ...

    async def supports(self, premise: str, claim: str, lang: Lang) -> bool | None:
        """Return whether the premise, in any language, supports the claim in `lang`; None: undecided.

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
    "encoder": Encoder,
    "store": VectorStore,
    "reranker": Reranker,
    "detector": LanguageDetector,
    "translator": Translator,
    "tagger": QualityTagger,
    "generator": Generator,
    "support_judge": SupportJudge,
}
"""The stages by their names in a deployment; an encoder and a store are settings of a retriever, and a judge of support
is one of `qttrag eval support`."""
