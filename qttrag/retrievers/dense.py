"""Dense retrieval: one encoder, several collections, hits merged by score."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Literal, NamedTuple

from qttrag.encoders.concurrent import ConcurrentEncoder
from qttrag.encoders.language_means import LanguageMeans
from qttrag.errors import CollectionError, ConfigError, InputError, PartialHits
from qttrag.models import devices
from qttrag.models.loading import Lazy
from qttrag.protocols import Encoder, Prefetchable, VectorStore
from qttrag.retrievers import centring, index_encoders, merging, search_scope
from qttrag.retrievers.centring import CentredQueries
from qttrag.retrievers.places import Searches, all_hits, by_place
from qttrag.runtime.batching import Batcher
from qttrag.stores.faiss_folder import FaissFolder
from qttrag.types import Embeddings, Hit, Lang, Query, TextRole

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_EMBEDDED_AT_ONCE = 32  # texts, so that questions are encoded between them


class _Request(NamedTuple):
    vector: NDArray[np.float32]
    k: int
    languages: tuple[Lang, ...] | Literal["all"]
    lang: Lang
    chosen: tuple[str, ...] | None


class _Prefixes(NamedTuple):
    """Of all collections; `passage` None: they have different ones."""

    query: str
    passage: str | None

    def of(self, role: TextRole | None) -> str:
        prefix = "" if role is None else self.query if role == "query" else self.passage
        if prefix is None:
            what = "the collections have different prefixes of passages; leave out the kind of text"
            raise InputError(what, public=what)
        return prefix


class _Loaded(NamedTuple):
    encoder: ConcurrentEncoder
    prefixes: _Prefixes
    means: LanguageMeans | None
    searches: Sequence[Searches[_Request]]


class DenseRetriever:
    """Retriever kind `dense`.

    `collections`: names or paths of built indexes, or settings of other stores (`{kind: ..., ...}`); their vectors must
    be of this `encoder`. `languages`: only passages in these are searched; "query" is the language of the question, and
    the paper has ["en", "query"]. null: all.

    Hits of all collections are merged by score. `quotas`: the least share of the hits in a language, if it has as many,
    e.g. {query: 0.3}. `shifts`: added to the scores of passages in another language than the question's, which encoders
    score lower, e.g. {ko: {en: 0.04}} for questions in Korean and passages in English; `qttrag index measure-shifts`
    measures them. `transform: centre` subtracts the mean vector of each language from its questions and passages, so
    that the language of a passage counts less; `qttrag index measure-means` measures the means of each collection.
    `threads`: searches at the same time in a built index; null: as many as there are cores.

    If some of several servers with collections are unavailable, `retrieve` raises PartialHits with the hits of the
    others."""

    RENAMED = {  # noqa: RUF012
        name: f"retriever: {{encoder: {{{name}: ...}}}}"
        for name in ("model", "revision", "device", "max_tokens", "batch_tokens")
    }
    """Settings of earlier versions, and where they are now."""

    def __init__(
        self,
        *,
        encoder: Encoder,
        collections: Sequence[VectorStore | str],
        languages: list[str] | None = None,
        quotas: dict[str, float] | None = None,
        shifts: dict[str, dict[str, float]] | None = None,
        transform: Literal["none", "centre"] = "none",
        threads: int | None = None,
    ) -> None:
        if not collections:
            raise ConfigError("retriever kind 'dense': `collections:` is empty; name at least one built index")
        if threads is not None and threads < 1:
            raise ConfigError(f"retriever kind 'dense': `threads: {threads}`: at least 1, or null for all cores")
        self._encoder = encoder
        self._stores = [FaissFolder(c, threads=threads) if isinstance(c, str) else c for c in collections]
        self._languages = search_scope.check_languages(languages)
        self._merging = merging.check(quotas, shifts)
        self._centres = transform == "centre"
        self._lazy = Lazy(self._load)

    @property
    def collections(self) -> list[str]:
        return search_scope.collection_names([store.name for store in self._stores])

    async def start(self) -> None:
        await self._lazy.get()
        threading.Thread(target=self._read_ahead, daemon=True).start()

    def _read_ahead(self) -> None:
        """Read the indexes into memory, so that the first questions do not wait for the disk."""
        for store in self._stores:
            if isinstance(store, Prefetchable):
                with suppress(OSError, CollectionError):  # removed meanwhile: a search reports it
                    store.read_ahead()

    async def retrieve(self, query: Query, k: int) -> list[Hit]:
        loaded = await self._lazy.get()
        languages = search_scope.passage_languages(self._languages, query)
        (text,) = await loaded.encoder.encode([loaded.prefixes.query + query.text])
        request = _Request(text.vector, k, languages, query.lang, query.collections)
        found, unavailable = await all_hits(loaded.searches, request)
        merged = merging.merge(found, k, query.lang, self._merging)
        merging.report(merged, query.lang)
        if loaded.means is not None:
            centring.report(len(merged.hits), query.lang, loaded.means)
        if unavailable is not None:
            raise PartialHits(unavailable, merged.hits) from unavailable
        return merged.hits

    async def embed(self, texts: Sequence[str], role: TextRole | None) -> Embeddings:
        """Return vectors as the collections have them; `transform: centre` does not change them."""
        loaded = await self._lazy.get()
        encoder, prefix = loaded.encoder, loaded.prefixes.of(role)
        embedded = []
        for start in range(0, len(texts), _EMBEDDED_AT_ONCE):
            embedded += await encoder.encode([prefix + text for text in texts[start : start + _EMBEDDED_AT_ONCE]])
        return Embeddings(embedded, encoder.info)

    def _load(self) -> _Loaded:
        infos = {store.name: store.encoder for store in self._stores}  # opens them: faster to fail than a model to load
        encoder = self._encoder.load()
        prefixes = _Prefixes(index_encoders.query_prefix(infos, encoder.info), index_encoders.passage_prefix(infos))
        means = centring.means_of(self._stores) if self._centres else None
        searches = [
            Searches(stores, self._batcher(stores, means, place or encoder.device))
            for place, stores in by_place(self._stores).items()
        ]
        return _Loaded(ConcurrentEncoder(encoder, batch_tokens=self._encoder.batch_tokens), prefixes, means, searches)

    def _batcher(
        self, stores: Sequence[VectorStore], means: LanguageMeans | None, device: str
    ) -> Batcher[_Request, list[list[Hit]]]:
        """Return the searches of stores. `device`: searches and an encoder on the same processor take turns."""
        return Batcher(
            lambda requests: self._search(stores, means, requests),
            executor=devices.executor(device),
            length=lambda request: 1,
            key=lambda request: (
                request.k,
                request.languages,
                request.lang if self._merging.any or self._centres else None,
                request.chosen,
            ),
        )

    def _search(
        self, stores: Sequence[VectorStore], means: LanguageMeans | None, requests: list[_Request]
    ) -> list[list[list[Hit]]]:
        """Return the hits of requests that differ only in their vectors, of each store and group of languages."""
        import numpy as np

        vectors = np.stack([request.vector for request in requests])
        _, k, languages, lang, chosen = requests[0]
        queries = None if means is None else CentredQueries(vectors, lang, means)
        hits_by_search = [
            store.search(vectors, k, group) if queries is None else queries.search(store, k, group)
            for store in stores
            if search_scope.is_chosen(store.name, chosen)
            for group in merging.language_groups(store.languages, languages, self._searched_separately(store, lang))
        ]
        return [[hits[n] for hits in hits_by_search] for n in range(len(requests))]

    def _searched_separately(self, store: VectorStore, lang: Lang) -> set[Lang]:
        return set(store.languages) if self._centres else self._merging.searched_separately(lang)
