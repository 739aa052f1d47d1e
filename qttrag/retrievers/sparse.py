"""Retrieval by learned weights of tokens (BGE-M3): an exact search of several collections, in folders and databases."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol

from qttrag.encoders import m3_encoder, token_weights
from qttrag.errors import CollectionError, ConfigError, PartialHits
from qttrag.models import devices
from qttrag.models.loading import Lazy
from qttrag.protocols import Encoder, VectorStore, WeightedStore
from qttrag.retrievers import index_encoders, search_scope
from qttrag.retrievers.places import Searches, all_hits, by_place
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

Languages = Sequence[Lang] | Literal["all"]
_Key = tuple[Lang, ...] | Literal["all"]


class _Text(NamedTuple):
    text: str
    tokens: int


class _Request(NamedTuple):
    weights: TokenWeights
    k: int
    languages: _Key
    chosen: tuple[str, ...] | None


class _Loaded(NamedTuple):
    encoder: M3Encoder
    weigher: Batcher[_Text, TokenWeights]
    searches: Sequence[Searches[_Request]]


class SparseRetriever:
    """Retriever kind `sparse`: the score of a passage is the sum, over the tokens that it shares with the question, of
    the products of their learned weights.

    `encoder`: one that weighs tokens (BGE-M3). `collections`: names or paths of indexes built with it by a recipe with
    `sparse: true`, or settings of stores that they were exported to. `languages`: as for `dense`. With the encoder of a
    dense retriever beside it, one pass of the model serves both.

    If some of several servers with collections are unavailable, `retrieve` raises PartialHits with the hits of the
    others."""

    def __init__(
        self, *, encoder: Encoder, collections: Sequence[VectorStore | str], languages: list[str] | None = None
    ) -> None:
        if not collections:
            raise ConfigError("retriever kind 'sparse': `collections:` is empty; name at least one built index")
        self._encoder = encoder
        self._stores = [_searchable(FaissFolder(each) if isinstance(each, str) else each) for each in collections]
        self._languages = search_scope.check_languages(languages)
        self._lazy = Lazy(self._load)

    @property
    def collections(self) -> list[str]:
        return search_scope.collection_names([store.name for store in self._stores])

    async def start(self) -> None:
        await self._lazy.get()

    async def retrieve(self, query: Query, k: int) -> list[Hit]:
        loaded = await self._lazy.get()
        tokens = min(loaded.encoder.lengths([query.text])[0], loaded.encoder.info.max_tokens)
        (weights,) = await loaded.weigher.map([_Text(query.text, tokens)])
        if not len(weights.tokens):
            return []
        languages = search_scope.passage_languages(self._languages, query)
        found, unavailable = await all_hits(loaded.searches, _Request(weights, k, languages, query.collections))
        hits = best([hit for hits in found for hit in hits], k)
        if unavailable is not None:
            raise PartialHits(unavailable, hits) from unavailable
        return hits

    def _load(self) -> _Loaded:
        infos = {store.name: store.encoder for store in self._stores}
        searched = [_FolderSearch(each) if isinstance(each, FaissFolder) else each for each in self._stores]
        for each in searched:
            each.check_weights()
        loaded = self._encoder.load()
        prefix = index_encoders.query_prefix(infos, loaded.info)
        encoder = m3_encoder.require(loaded, loaded.info.model, "sparse_linear")
        weigher = Batcher[_Text, TokenWeights](
            lambda texts: encoder.weigh([prefix + each.text for each in texts]),
            executor=devices.executor(encoder.device),
            length=lambda each: each.tokens,
            max_length=self._encoder.batch_tokens,
        )
        places = by_place(searched).items()
        searches = [Searches(stores, _batcher(stores, place or encoder.device)) for place, stores in places]
        return _Loaded(encoder, weigher, searches)


class _WeightedVectorStore(VectorStore, WeightedStore, Protocol):
    """Both."""


def _searchable(store: VectorStore) -> FaissFolder | _WeightedVectorStore:
    if isinstance(store, FaissFolder | WeightedStore):
        return store
    raise ConfigError(f"retriever kind 'sparse': the store of '{store.name}' has no search by weights of tokens")


def _batcher(stores: Sequence[_FolderSearch | _WeightedVectorStore], device: str) -> Batcher[_Request, list[list[Hit]]]:
    """Return the searches of stores at one place. `device`: as for `dense`."""

    def search(requests: list[_Request]) -> list[list[list[Hit]]]:
        weights = token_weights.stacked([request.weights for request in requests])
        _, k, languages, chosen = requests[0]
        asked = [store for store in stores if search_scope.is_chosen(store.name, chosen)]
        hits_by_store = [store.search_weights(weights, k, languages) for store in asked]
        return [[hits[n] for hits in hits_by_store] for n in range(len(requests))]

    return Batcher(
        search,
        executor=devices.executor(device),
        length=lambda request: 1,
        key=lambda request: (request.k, request.languages, request.chosen),
    )


class _FolderSearch:
    """Searches the newest version of a built index."""

    def __init__(self, store: FaissFolder) -> None:
        self._store = store
        self._search: _Search | None = None

    @property
    def name(self) -> str:
        return self._store.name

    def check_weights(self) -> None:
        """Raises CollectionError if the index has no weights."""
        self._newest()

    def search_weights(self, weights: TokenWeights, k: int, languages: Languages) -> list[list[Hit]]:
        search = self._newest()
        return [search.hits(each, k, languages) for each in token_weights.rows(weights)]

    def _newest(self) -> _Search:
        collection = self._store.collection
        if self._search is None or collection is not self._search.collection:
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
        self._masks: dict[_Key, NDArray[np.bool_]] = {}

    def hits(self, question: TokenWeights, k: int, languages: Languages) -> list[Hit]:
        """Return up to `k` hits, best first, ties by passage id; passages that share no token are none."""
        return best_hits(self._weights.scores(question) * self._mask(languages), k, self._passages.__getitem__)

    def _mask(self, languages: Languages) -> NDArray[np.bool_]:
        key: _Key = "all" if languages == "all" else tuple(languages)
        if key not in self._masks:
            self._masks[key] = ~self._passages.removed_mask() if key == "all" else self._passages.rows_of(key)
        return self._masks[key]
