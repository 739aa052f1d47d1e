"""Lexical retrieval with BM25 over the passages of built indexes, in any language."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from qttrag import trace
from qttrag.errors import ConfigError, StageError
from qttrag.models import devices
from qttrag.models.loading import Lazy
from qttrag.protocols import Translator
from qttrag.retrievers import search_scope
from qttrag.retrievers.rank_fusion import fuse
from qttrag.retrievers.ranking import best_hits
from qttrag.retrievers.terms import tokenise
from qttrag.runtime.batching import Batcher
from qttrag.stores.faiss_folder import FaissFolder
from qttrag.text.languages import display_name
from qttrag.types import UNDETERMINED, UNSUPPORTED, Hit, Lang, Passage, Query

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from qttrag.indexes.collection import Collection


class _Row(NamedTuple):
    name: str
    collection: Collection
    row: int

    @property
    def passage(self) -> Passage:
        return self.collection.passages[self.row]


class _Search(NamedTuple):
    """`texts`: the question by the language of the passages that are searched with it. All are one ranking."""

    texts: Mapping[Lang, str]
    k: int
    collections: tuple[str, ...] | None


class _Loaded(NamedTuple):
    collections: list[Collection]
    languages: tuple[Lang, ...]  # of all passages
    batcher: Batcher[_Search, list[Hit]]


class BM25Retriever:
    """Retriever kind `bm25`.

    The term index is built in memory when the retriever loads, which takes a minute or two for 100,000 passages, and
    again when a collection has a new version. `wait_s`: how long a question waits for that in seconds; then it searches
    the earlier version, with a note.

    `languages`: as for `dense`. `k1`, `b`: BM25's parameters. Document frequencies are those of all collections and
    languages, also where a question is searched in some of them. `translator`: the question is translated into each
    language of the passages, and those in that language are searched with its translation; the rankings are fused by
    rank. `translator: deployment` is the deployment's own. null: all are searched with the question as it is."""

    def __init__(
        self,
        *,
        collections: list[str],
        languages: list[str] | None = None,
        translator: Translator | None = None,
        k1: float = 1.5,
        b: float = 0.75,
        wait_s: float = 5.0,
    ) -> None:
        if not collections:
            raise ConfigError("retriever kind 'bm25': `collections:` is empty; name at least one built index")
        self._stores = [FaissFolder(name) for name in collections]
        self._languages = search_scope.check_languages(languages)
        self._translator = translator
        self._k1 = k1
        self._b = b
        self._wait_s = wait_s
        self._lazy = Lazy(self._load)
        self._newest: _Loaded | None = None
        self._renewal: asyncio.Task[_Loaded] | None = None

    @property
    def collections(self) -> list[str]:
        return search_scope.collection_names([store.name for store in self._stores])

    async def start(self) -> None:
        await self._lazy.get()

    async def retrieve(self, query: Query, k: int) -> list[Hit]:
        _, present, batcher = await self._up_to_date()
        chosen = search_scope.passage_languages(self._languages, query)
        languages = [lang for lang in present if chosen == "all" or lang in chosen]
        if self._translator is None:
            searches = [_Search(dict.fromkeys(languages, query.text), k, query.collections)]
        else:
            texts = await asyncio.gather(*(_asked_in(lang, query, self._translator) for lang in languages))
            searches = [
                _Search({lang: text}, k, query.collections) for lang, text in zip(languages, texts, strict=True)
            ]
        rankings = await batcher.map(searches)
        return fuse(rankings, k) if self._translator else rankings[0]

    async def _up_to_date(self) -> _Loaded:
        """Return the term index of the collections as they are now; after `wait_s`, with a note, an earlier one."""
        loaded = self._newest or await self._lazy.get()
        deadline = time.monotonic() + self._wait_s
        while _differ(collections := await asyncio.to_thread(self._open), loaded.collections):
            if self._renewal is None:
                self._renewal = asyncio.create_task(asyncio.to_thread(self._index, collections))
            renewal = self._renewal
            await asyncio.wait({renewal}, timeout=max(0.0, deadline - time.monotonic()))
            if not renewal.done():
                trace.note("passages are searched by words as they were before the last change of a collection")
                trace.count("searches_of_an_earlier_version")
                break
            if self._renewal is renewal:
                self._renewal = None
            loaded = self._newest = renewal.result()
        return loaded

    def _load(self) -> _Loaded:
        return self._index(self._open())

    def _open(self) -> list[Collection]:
        return [store.collection for store in self._stores]

    def _index(self, collections: list[Collection]) -> _Loaded:
        rows = [
            _Row(store.name, collection, row)
            for store, collection in zip(self._stores, collections, strict=True)
            for row in collection.passages.remaining_rows().tolist()
        ]
        index = _TermIndex(rows, k1=self._k1, b=self._b)
        batcher: Batcher[_Search, list[Hit]] = Batcher(
            lambda searches: list(map(index.search, searches)),
            executor=devices.executor("cpu"),
            length=lambda search: sum(map(len, search.texts.values())),
        )
        return _Loaded(collections, index.languages, batcher)


def _differ(some: list[Collection], others: list[Collection]) -> bool:
    return any(one is not other for one, other in zip(some, others, strict=True))


async def _asked_in(lang: Lang, query: Query, translator: Translator) -> str:
    """Return the question in the language of passages; as it is, with a note, if it cannot be translated."""
    if lang in (query.lang, UNDETERMINED):
        return query.text
    searched = f"passages in {display_name(lang)} are searched by words"
    try:
        (translation,) = await translator.translate([query.text], [query.lang], lang)
    except StageError as error:
        trace.note_degraded(f"{searched} with the question untranslated", error)
        return query.text
    if UNSUPPORTED in translation.flags or not translation.text.strip():
        trace.note(f"{searched} with the question untranslated: the translator does not support the pair")
        trace.count("untranslated_questions")
        return query.text
    trace.note(f"{searched} with the question \u201c{translation.text}\u201d")
    trace.count("translated_questions")
    return translation.text


class _TermIndex:
    """The terms of passages, in memory. `languages`: of the passages, sorted."""

    def __init__(self, rows: Sequence[_Row], *, k1: float, b: float) -> None:
        import bm25s
        import numpy as np

        self._rows = rows
        langs, terms = list[Lang](), list[list[str]]()
        for passage in (row.passage for row in rows):
            langs.append(passage.lang)
            terms.append(tokenise(passage.content, passage.lang))
        self.languages = tuple(sorted(set(langs)))
        numbers = {lang: number for number, lang in enumerate(self.languages)}
        self._language_of = np.array([numbers[lang] for lang in langs], np.int32)
        self._index: Any = bm25s.BM25(k1=k1, b=b)
        self._index.index(terms, show_progress=False)

    def search(self, search: _Search) -> list[Hit]:
        return best_hits(self._scores(search), search.k, lambda row: self._rows[row].passage)

    def _scores(self, search: _Search) -> NDArray[np.float32]:
        """Return the score of each row; 0 for those in other languages or collections."""
        import numpy as np

        searched: dict[tuple[str, ...], list[int]] = defaultdict(list)
        for number, lang in enumerate(self.languages):
            if lang in search.texts:
                terms = [term for term in tokenise(search.texts[lang], lang) if term in self._index.vocab_dict]
                searched[tuple(terms)].append(number)
        scores = np.zeros(len(self._rows), np.float32)
        for terms_of, languages in searched.items():
            if terms_of:
                scores += self._index.get_scores(list(terms_of)) * np.isin(self._language_of, languages)
        if search.collections is not None:
            chosen = (search_scope.is_chosen(row.name, search.collections) for row in self._rows)
            scores *= np.fromiter(chosen, bool, len(self._rows))
        return scores
