"""Retrieval by learned weights of tokens (BGE-M3): an exact search of the inverted indexes of several collections."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

from qttrag.encoders import m3_encoder
from qttrag.errors import CollectionError, ConfigError
from qttrag.models import devices
from qttrag.models.loading import Lazy
from qttrag.protocols import Encoder
from qttrag.retrievers import index_encoders, search_scope
from qttrag.retrievers.ranking import best, best_hits
from qttrag.runtime.batching import Batcher
from qttrag.stores.faiss_folder import FaissFolder
from qttrag.types import Hit, Lang, Query, TokenWeights

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from qttrag.encoders.m3_encoder import M3Encoder
    from qttrag.indexes.collection import Collection
    from qttrag.indexes.storage.token_weights import StoredTokenWeights

Languages = tuple[Lang, ...] | Literal["all"]


class _Request(NamedTuple):
    text: str
    tokens: int
    k: int
    languages: Languages
    chosen: tuple[str, ...] | None


class _Loaded(NamedTuple):
    encoder: M3Encoder
    batcher: Batcher[_Request, list[Hit]]


class SparseRetriever:
    """Retriever kind `sparse`: the score of a passage is the sum, over the tokens that it shares with the question, of
    the products of their learned weights.

    `encoder`: one that weighs tokens (BGE-M3). `collections`: names or paths of indexes built with it by a recipe with
    `sparse: true`. `languages`: as for `dense`. With the encoder of a dense retriever beside it, one pass of the model
    serves both."""

    def __init__(self, *, encoder: Encoder, collections: list[str], languages: list[str] | None = None) -> None:
        if not collections:
            raise ConfigError("retriever kind 'sparse': `collections:` is empty; name at least one built index")
        self._encoder = encoder
        self._stores = [FaissFolder(name) for name in collections]
        self._languages = search_scope.check_languages(languages)
        self._lazy = Lazy(self._load)

    @property
    def collections(self) -> list[str]:
        return search_scope.collection_names([store.name for store in self._stores])

    async def start(self) -> None:
        await self._lazy.get()

    async def retrieve(self, query: Query, k: int) -> list[Hit]:
        encoder, batcher = await self._lazy.get()
        tokens = min(encoder.lengths([query.text])[0], encoder.info.max_tokens)
        languages = search_scope.passage_languages(self._languages, query)
        (hits,) = await batcher.map([_Request(query.text, tokens, k, languages, query.collections)])
        return hits

    def _load(self) -> _Loaded:
        infos = {store.name: store.encoder for store in self._stores}
        searches = [_CurrentSearch(store) for store in self._stores]
        loaded = self._encoder.load()
        prefix = index_encoders.query_prefix(infos, loaded.info)
        encoder = m3_encoder.require(loaded, loaded.info.model, "sparse_linear")

        def search(requests: list[_Request]) -> list[list[Hit]]:
            weights = encoder.weigh([prefix + request.text for request in requests])
            return list(map(merged, requests, weights))

        def merged(request: _Request, weights: TokenWeights) -> list[Hit]:
            hits = [
                hit
                for search in searches
                if search_scope.is_chosen(search.store.name, request.chosen)
                for hit in search.of_newest_version().hits(weights, request.k, request.languages)
            ]
            return best(hits, request.k)

        batcher = Batcher(
            search,
            executor=devices.executor(encoder.device),
            length=lambda request: request.tokens,
            max_length=self._encoder.batch_tokens,
        )
        return _Loaded(encoder, batcher)


class _CurrentSearch:
    """The search of the newest version of a collection."""

    def __init__(self, store: FaissFolder) -> None:
        """Raises CollectionError if the collection has no weights."""
        self.store = store
        self._search = _Search(store.collection)

    def of_newest_version(self) -> _Search:
        collection = self.store.collection
        if collection is not self._search.collection:
            self._search = _Search(collection)
        return self._search


class _Search:
    """Searches one version of a collection."""

    def __init__(self, collection: Collection) -> None:
        """Raises CollectionError if the collection has no weights."""
        if collection.weights is None:
            raise CollectionError(
                f"index '{collection.manifest.name}' has no weights of tokens; add `sparse: true` to its recipe and "
                f"build it again: qttrag index build {collection.manifest.name} --overwrite"
            )
        self.collection = collection
        self._passages = collection.passages
        self._weights: StoredTokenWeights = collection.weights
        self._masks: dict[Languages, NDArray[np.bool_]] = {}

    def hits(self, question: TokenWeights, k: int, languages: Languages) -> list[Hit]:
        """Return up to `k` hits, best first, ties by passage id; passages that share no token are none."""
        return best_hits(self._weights.scores(question) * self._mask(languages), k, self._passages.__getitem__)

    def _mask(self, languages: Languages) -> NDArray[np.bool_]:
        if languages not in self._masks:
            if languages == "all":
                self._masks[languages] = ~self._passages.removed_mask()
            else:
                self._masks[languages] = self._passages.rows_of(languages)
        return self._masks[languages]
