"""Dense retrieval: one encoder, FAISS indexes of several collections, merged by score."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

from qttrag import devices
from qttrag.batching import Batcher
from qttrag.errors import CollectionError, ConfigError
from qttrag.loading import Lazy
from qttrag.retrievers import pool
from qttrag.types import Hit, Lang, Query

if TYPE_CHECKING:
    from qttrag.encoders import Encoder
    from qttrag.indexes.search import Collection


class _Request(NamedTuple):
    text: str
    tokens: int
    k: int
    langs: tuple[Lang, ...] | Literal["all"]


class _Loaded(NamedTuple):
    encoder: Encoder
    batcher: Batcher[_Request, list[Hit]]


class DenseRetriever:
    """Retriever kind `dense`.

    `collections` must have been built with this `model`. `languages`: search only passages in these, "query"
    standing for the language of the question; the paper's pool is ["en", "query"]. null: all."""

    def __init__(
        self,
        model: str,
        *,
        collections: list[str],
        languages: list[str] | None = None,
        revision: str | None = None,
        device: str = "auto",
        max_tokens: int = 256,
        batch_tokens: int = 16_384,
    ) -> None:
        if not collections:
            raise ConfigError("retriever kind 'dense': `collections:` is empty; name at least one built index")
        self._model = model
        self._collections = collections
        self._languages = pool.check(languages)
        self._revision = revision
        self._device = device
        self._max_tokens = max_tokens
        self._batch_tokens = batch_tokens
        self._lazy = Lazy(self._load)

    async def start(self) -> None:
        await self._lazy.get()

    async def retrieve(self, query: Query, k: int) -> list[Hit]:
        encoder, batcher = await self._lazy.get()
        tokens = min(encoder.lengths([query.text])[0], self._max_tokens)
        (hits,) = await batcher.map([_Request(query.text, tokens, k, pool.langs(self._languages, query))])
        return hits

    def _load(self) -> _Loaded:
        from qttrag.encoders import Encoder
        from qttrag.indexes.search import open_index

        collections = [open_index(name) for name in self._collections]
        encoder = Encoder(self._model, revision=self._revision, device=self._device, max_tokens=self._max_tokens)
        for collection in collections:
            _check(collection, encoder, self._model)
        prefixes = {str(collection.manifest.recipe["encoder"]["query_prefix"]) for collection in collections}
        if len(prefixes) > 1:
            raise CollectionError(f"collections {self._collections} want different query prefixes; search them apart")
        (prefix,) = prefixes

        def run(requests: list[_Request]) -> list[list[Hit]]:
            vectors = encoder.encode([prefix + request.text for request in requests])
            found = [collection.search(vectors, requests[0].k, requests[0].langs) for collection in collections]
            return [_merge([hits[n] for hits in found], requests[0].k) for n in range(len(requests))]

        batcher = Batcher(
            run,
            executor=devices.executor(encoder.device),
            length=lambda request: request.tokens,
            max_length=self._batch_tokens,
            key=lambda request: (request.k, request.langs),
        )
        return _Loaded(encoder, batcher)


def _merge(found: list[list[Hit]], k: int) -> list[Hit]:
    hits = [hit for of_collection in found for hit in of_collection]
    return sorted(hits, key=lambda hit: (-hit.score, hit.passage.passage_id))[:k]


def _check(collection: Collection, encoder: Encoder, model: str) -> None:
    manifest = collection.manifest
    if manifest.encoder_revision != encoder.revision:
        built_with = manifest.recipe["encoder"]["model"]
        raise CollectionError(
            f"index '{manifest.name}' was built with the encoder {built_with} ({manifest.encoder_revision}), "
            f"the deployment has {model} ({encoder.revision}); "
            f"name that encoder in `retriever: {{model: ...}}`, or build the index again with this one"
        )
