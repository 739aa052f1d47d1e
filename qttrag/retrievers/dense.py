"""Dense retrieval: one encoder, FAISS indexes of several collections, merged by score."""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Literal, NamedTuple

from qttrag.errors import CollectionError, ConfigError
from qttrag.models import devices
from qttrag.models.loading import Lazy
from qttrag.retrievers import merging
from qttrag.retrievers import search_scope as pool
from qttrag.retrievers.merging import Merged
from qttrag.runtime.batching import Batcher
from qttrag.types import Hit, Lang, Query

if TYPE_CHECKING:
    from qttrag.encoders.sentence_transformers import Encoder
    from qttrag.indexes.collection import Collection


class _Request(NamedTuple):
    text: str
    tokens: int
    k: int
    langs: tuple[Lang, ...] | Literal["all"]
    lang: Lang
    chosen: tuple[str, ...] | None


class _Loaded(NamedTuple):
    encoder: Encoder
    batcher: Batcher[_Request, Merged]


class DenseRetriever:
    """Retriever kind `dense`.

    `collections` must have been built with this `model`. `languages`: search only passages in these, "query"
    standing for the language of the question; the paper's pool is ["en", "query"]. null: all.

    Hits of all are merged by score. `quotas`: at least so much of them is in a language, if it has as many, e.g.
    {query: 0.3}. `shifts`: added to the scores of passages in a language other than the question's, for which encoders
    score all passages lower, e.g. {ko: {en: 0.04}} for questions in Korean and passages in English, as
    `qttrag index measure-shifts` finds them. `threads`: searching at the same time; null: as many as cores."""

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
        quotas: dict[str, float] | None = None,
        shifts: dict[str, dict[str, float]] | None = None,
        threads: int | None = None,
    ) -> None:
        if not collections:
            raise ConfigError("retriever kind 'dense': `collections:` is empty; name at least one built index")
        self._model = model
        self._collections = collections
        if threads is not None and threads < 1:
            raise ConfigError(f"retriever kind 'dense': `threads: {threads}`: at least 1, or null for all cores")
        self._languages = pool.check(languages)
        self._merging = merging.check(quotas, shifts)
        self._threads = threads
        self._revision = revision
        self._device = device
        self._max_tokens = max_tokens
        self._batch_tokens = batch_tokens
        self._lazy = Lazy(self._load)

    @property
    def collections(self) -> list[str]:
        return pool.names(self._collections)

    async def start(self) -> None:
        await self._lazy.get()
        threading.Thread(target=self._read_ahead, daemon=True).start()

    def _read_ahead(self) -> None:
        """Spare the first questions, of which each touches other lists, waiting for the disk."""
        from qttrag.indexes.collection import read_ahead

        for name in self._collections:
            with suppress(OSError, CollectionError):  # removed since, which a search tells
                read_ahead(name)

    async def retrieve(self, query: Query, k: int) -> list[Hit]:
        encoder, batcher = await self._lazy.get()
        tokens = min(encoder.lengths([query.text])[0], self._max_tokens)
        langs = pool.langs(self._languages, query)
        request = _Request(query.text, tokens, k, langs, query.lang, query.collections)
        (merged,) = await batcher.map([request])
        merging.report(merged, query.lang)
        return merged.hits

    def _load(self) -> _Loaded:
        from qttrag.encoders.sentence_transformers import Encoder
        from qttrag.indexes.collection import open_index

        collections = [open_index(name, threads=self._threads) for name in self._collections]
        encoder = Encoder(self._model, revision=self._revision, device=self._device, max_tokens=self._max_tokens)
        for collection in collections:
            _check(collection, encoder, self._model)
        prefixes = {str(collection.manifest.recipe["encoder"]["query_prefix"]) for collection in collections}
        if len(prefixes) > 1:
            raise CollectionError(f"collections {self._collections} want different query prefixes; search them apart")
        (prefix,) = prefixes

        def run(requests: list[_Request]) -> list[Merged]:
            vectors = encoder.encode([prefix + request.text for request in requests])
            _, _, k, langs, lang, chosen = requests[0]
            found = [
                collection.search(vectors, k, group)
                for name, collection in zip(self._collections, collections, strict=True)
                if pool.includes(chosen, name)
                for group in merging.groups(collection, langs, self._merging.apart(lang))
            ]
            return [merging.merge([hits[n] for hits in found], k, lang, self._merging) for n in range(len(requests))]

        batcher = Batcher(
            run,
            executor=devices.executor(encoder.device),
            length=lambda request: request.tokens,
            max_length=self._batch_tokens,
            key=lambda request: (
                request.k,
                request.langs,
                request.lang if self._merging.any else None,
                request.chosen,
            ),
        )
        return _Loaded(encoder, batcher)


def _check(collection: Collection, encoder: Encoder, model: str) -> None:
    manifest = collection.manifest
    if manifest.encoder_revision != encoder.revision:
        built_with = manifest.recipe["encoder"]["model"]
        raise CollectionError(
            f"index '{manifest.name}' was built with the encoder {built_with} ({manifest.encoder_revision}), "
            f"the deployment has {model} ({encoder.revision}); "
            f"name that encoder in `retriever: {{model: ...}}`, or build the index again with this one"
        )
