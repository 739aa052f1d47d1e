"""Reranking by a language model that orders several passages in one reply (RankGPT, arXiv:2304.09542)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from qttrag import trace
from qttrag.errors import ConfigError
from qttrag.prompts import Prompts
from qttrag.protocols import Generator
from qttrag.rerankers import judging
from qttrag.rerankers.judging import Judge
from qttrag.rerankers.replies import list_schema, read_ranking
from qttrag.types import Hit, Query


class ListwiseReranker:
    """Reranker kind `listwise`: scores are reciprocal ranks, 1, 1/2, 1/3, ...

    The model orders the last `window` passages, then the `window` that end `step` before them, and so on up to the
    best: ceil((n - window) / step) + 1 calls for n passages, one after another. Incomplete orders are repaired: repeats
    are dropped, missing passages follow in their order. A window with an unreadable reply keeps its order.
    `generator`: by default the deployment's. `candidates`: passages to rerank; the rest follow unchanged; null: all.
    `reasoning`: the model first gives reasons, in English; raise `max_tokens` to 1024 or so.
    `structured`: replies are JSON under a schema; else "[2] > [1]". `prompt_lang`: `query`: prompts in the language of
    the question, where `prompts/rerank/` has it. `max_tokens`: of a reply.
    Counts: windows, repaired, unreadable, truncated; the generator's calls and tokens."""

    def __init__(
        self,
        *,
        generator: Generator,
        prompts: Prompts,
        window: int = 20,
        step: int = 10,
        candidates: int | None = None,
        reasoning: bool = False,
        structured: bool = True,
        prompt_lang: Literal["en", "query"] = "en",
        max_tokens: int = 256,
    ) -> None:
        if window < 2 or not 1 <= step <= window or (candidates is not None and candidates < 1):
            raise ConfigError(
                f"reranker kind 'listwise': `window: {window}` must be at least 2, `step: {step}` from 1 to it, "
                f"`candidates: {candidates}` at least 1 or null"
            )
        self._judge = Judge(generator, prompts, prompt_lang=prompt_lang, max_tokens=max_tokens)
        self._window = window
        self._step = step
        self._candidates = candidates
        self._reasoning = reasoning
        self._structured = structured

    async def rerank(self, query: Query, hits: Sequence[Hit]) -> list[Hit]:
        ranked = list(hits)
        end = len(ranked[: self._candidates])
        while end > 1:
            start = max(0, end - self._window)
            ranked[start:end] = await self._ordered(query, ranked[start:end])
            end = end - self._step if start else 0
        return judging.in_order(ranked)

    async def _ordered(self, query: Query, hits: list[Hit]) -> list[Hit]:
        prompt, n = self._judge.prompt(query), len(hits)
        schema = list_schema(n, reasoned=self._reasoning) if self._structured else None
        completion = await self._judge.ask(
            [hit.passage.content for hit in hits],
            lambda texts: prompt.list_messages(
                query.text, texts, structured=self._structured, reasoned=self._reasoning
            ),
            schema,
        )
        trace.count("windows")
        ranking = read_ranking(completion.text, n)
        if ranking is None:
            trace.count("unreadable")
            trace.note("the reranker's model did not reply with an order for some passages; they keep theirs")
            return hits
        trace.count("repaired", int(ranking.repaired))
        return [hits[place] for place in ranking.order]
