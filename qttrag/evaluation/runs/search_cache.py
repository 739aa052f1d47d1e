"""The search cache of a run: strategies and generators share the searches and rerankings of equal queries.

It is in the run's folder and has the texts of the passages, so that rankings can be scored without the indexes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from qttrag.evaluation.datasets.replay import ReplayedRetriever
from qttrag.protocols import Reranker, Retriever, Selectable
from qttrag.runtime.cache import Cache, content_key
from qttrag.runtime.result_cache import Entries
from qttrag.runtime.single_flight import CachedCalls
from qttrag.types import Hit, Lang, Passage, Query

_KIND = "search"
_UNLIMITED = 1 << 50  # bytes: nothing of a run is evicted


class Ranking(NamedTuple):
    """The reranked hits of one question. `key`: the key of its search, whose entry has the texts of the passages."""

    key: str
    hits: list[Hit]


def store(folder: Path) -> Cache:
    """Return the search cache of the run in a folder."""
    return Cache(folder / "search.sqlite", max_bytes=_UNLIMITED)


def passages(cache: Cache, key: str) -> dict[str, Passage]:
    """Return the passages of a search by id; empty if the search is not in the cache."""
    (value,) = cache.get_many(_KIND, [bytes.fromhex(key)])
    return {hit.passage.passage_id: hit.passage for hit in _read(value)} if value is not None else {}


class CachedSearch:
    """A retriever and a reranker with a cache, which report the ranking of each question.

    `scope`: what the searches depend on, in a cache that serves several deployments.
    Counts: cached (from the cache or from another call), computed (by the inner retriever or reranker)."""

    def __init__(self, retriever: Retriever, reranker: Reranker, kept: Entries, *, scope: str = "") -> None:
        self._scope = scope
        self._replayed = isinstance(retriever, ReplayedRetriever)
        self._retriever = retriever
        self._reranker = reranker
        self._calls = CachedCalls(kept, _KIND, dump=str, load=str)
        self._keys: dict[str, str] = {}
        self._rankings: dict[str, Ranking] = {}

    @property
    def collections(self) -> list[str]:
        """Return the collections that a query may select; empty: none."""
        return self._retriever.collections if isinstance(self._retriever, Selectable) else []

    def take(self, query_id: str) -> Ranking | None:
        """Return the last ranking of a question and delete it; None if the question has no ranking."""
        self._keys.pop(query_id, None)
        return self._rankings.pop(query_id, None)

    async def retrieve(self, query: Query, k: int) -> list[Hit]:
        async def search() -> str:
            return _write(await self._retriever.retrieve(query, k))

        question = query.query_id if self._replayed else None  # what is replayed goes by it
        key = self._key(query, k=k, question=question)
        self._keys[query.query_id] = key.hex()
        return _read(await self._calls.get(key, search))

    async def rerank(self, query: Query, hits: Sequence[Hit]) -> list[Hit]:
        async def rank() -> str:
            places = {hit.passage: place for place, hit in enumerate(hits)}
            ranked = await self._reranker.rerank(query, hits)
            return json.dumps([[places[hit.passage], hit.score] for hit in ranked])

        value = await self._calls.get(self._key(query, ids=[hit.passage.passage_id for hit in hits]), rank)
        ranked = [Hit(hits[place].passage, score) for place, score in json.loads(value)]
        self._rankings[query.query_id] = Ranking(self._keys[query.query_id], ranked)
        return ranked

    def _key(self, query: Query, **more: object) -> bytes:
        chosen = {} if query.collections is None else {"collections": query.collections}
        scope = {"scope": self._scope} if self._scope else {}
        return content_key({"text": query.text, "lang": query.lang, **chosen, **scope, **more})


def _write(hits: Sequence[Hit]) -> str:
    rows = [[h.passage.passage_id, h.passage.text, h.passage.lang, h.passage.title, h.score] for h in hits]
    return json.dumps(rows, ensure_ascii=False)


def _read(value: str) -> list[Hit]:
    return [Hit(Passage(pid, text, Lang(lang), title), score) for pid, text, lang, title, score in json.loads(value)]
