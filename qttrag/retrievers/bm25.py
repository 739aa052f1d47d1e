"""Lexical retrieval with BM25 over the passages of built indexes, in any language."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from qttrag.errors import ConfigError
from qttrag.models import devices
from qttrag.models.loading import Lazy
from qttrag.retrievers import search_scope
from qttrag.runtime.batching import Batcher
from qttrag.text.normalization import for_matching
from qttrag.types import Hit, Query

if TYPE_CHECKING:
    from qttrag.indexes.collection import Collection

# Scripts without spaces between words (Han, kana, Thai, Lao, Myanmar, Khmer), and Hangul, whose words have particles.
_BIGRAMS = re.compile(
    "[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uac00-\ud7a3\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff"
    "\U00020000-\U0003134f]+"
)
# \w excludes combining marks, which are the vowels of Hindi, Bengali and Tamil.
_MARKS = "".join(mark for mark in map(chr, range(0x300, 0x20000)) if unicodedata.category(mark) in {"Mn", "Mc"})
_WORDS = re.compile(rf"\w[\w{_MARKS}]*")


def tokenise(text: str) -> list[str]:
    """Return the terms of a text: words, or character bigrams in Hangul and scripts without spaces.

    Text is normalised by `for_matching`, so that a word in two spellings is one term. A run of one character is one
    term."""
    terms: list[str] = []
    for word in _WORDS.findall(for_matching(text)):
        start = 0
        for run in _BIGRAMS.finditer(word):
            terms += [word[start : run.start()]] if run.start() > start else []
            characters = run.group()
            terms += [characters[n : n + 2] for n in range(max(1, len(characters) - 1))]
            start = run.end()
        terms += [word[start:]] if start < len(word) else []
    return terms


def has_bigrams(text: str) -> bool:
    """Return whether the script of a text has character bigrams as terms, in place of words."""
    return _BIGRAMS.search(for_matching(text)) is not None


class _Row(NamedTuple):
    name: str
    collection: Collection
    row: int


class BM25Retriever:
    """Retriever kind `bm25`.

    The term index is built in memory when the retriever loads, which takes seconds for 100,000 passages. `languages`:
    as for `dense`. `k1`, `b`: BM25's parameters. Document frequencies are those of all collections and languages,
    also where a question is searched in some of them."""

    def __init__(
        self, *, collections: list[str], languages: list[str] | None = None, k1: float = 1.5, b: float = 0.75
    ) -> None:
        if not collections:
            raise ConfigError("retriever kind 'bm25': `collections:` is empty; name at least one built index")
        self._collections = collections
        self._languages = search_scope.check_languages(languages)
        self._k1 = k1
        self._b = b
        self._lazy = Lazy(self._load)

    @property
    def collections(self) -> list[str]:
        return search_scope.collection_names(self._collections)

    async def start(self) -> None:
        await self._lazy.get()

    async def retrieve(self, query: Query, k: int) -> list[Hit]:
        batcher = await self._lazy.get()
        (hits,) = await batcher.map([(query, k)])
        return hits

    def _load(self) -> Batcher[tuple[Query, int], list[Hit]]:
        import bm25s

        from qttrag.indexes.collection import open_index

        rows = [
            _Row(name, collection, row)
            for name, collection in zip(self._collections, map(open_index, self._collections), strict=True)
            for row in collection.passages.remaining_rows().tolist()
        ]
        index = bm25s.BM25(k1=self._k1, b=self._b)
        index.index([tokenise(row.collection.passages[row.row].content) for row in rows], show_progress=False)
        return Batcher(
            lambda requests: [self._search(index, rows, query, k) for query, k in requests],
            executor=devices.executor("cpu"),
            length=lambda request: len(request[0].text),
        )

    def _search(self, index: Any, rows: Sequence[_Row], query: Query, k: int) -> list[Hit]:
        import numpy as np

        terms = [term for term in tokenise(query.text) if term in index.vocab_dict]
        if not terms:
            return []
        scores = index.get_scores(terms)
        languages = search_scope.passage_languages(self._languages, query)
        hits: list[Hit] = []
        order = np.argsort(-scores, kind="stable")
        for n in order:
            if scores[n] <= 0 or (len(hits) >= k and scores[n] < hits[-1].score):
                break
            if not search_scope.is_chosen(rows[n].name, query.collections):
                continue
            passage = rows[n].collection.passages[rows[n].row]
            if languages == "all" or passage.lang in languages:
                hits.append(Hit(passage, float(scores[n])))
        return sorted(hits, key=lambda hit: (-hit.score, hit.passage.passage_id))[:k]
