"""Reranking by a language model that compares two passages at a time (PRP-Sliding-K, arXiv:2306.17563)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from qttrag import trace
from qttrag.errors import ConfigError
from qttrag.prompts import Prompts
from qttrag.protocols import Generator
from qttrag.rerankers import judging
from qttrag.rerankers.judging import Judge
from qttrag.rerankers.replies import PAIR_SCHEMA, read_preference
from qttrag.runtime.tasks import gather_or_cancel
from qttrag.types import Hit, Passage, Query

_PASSES = 10  # arXiv:2306.17563: the best ten passages are then in their places


class PairwiseReranker:
    """Reranker kind `pairwise`: scores are reciprocal ranks, 1, 1/2, 1/3, ...

    A pass goes from the last pair of neighbours to the first and moves the better passage up, so that after k passes
    the best k are in their places. Each pair is asked about in both orders, because models prefer a place; where the
    two replies disagree or cannot be read, the pair keeps its order. Of n passages, pass k compares n - k pairs; a pair
    that was compared before is not asked about again, and passes end when one changes nothing. Comparisons follow one
    another, two calls each: 20 passages take up to 145 comparisons.
    `generator`: by default the deployment's. `candidates`: passages to rerank; the rest follow unchanged; null: all.
    `structured`: replies are JSON under a schema; else a letter. `prompt_lang`: `query`: prompts in the language of the
    question, where `prompts/rerank/` has it. `max_tokens`: of a reply.
    Counts: comparisons, ties, unreadable, truncated; the generator's calls and tokens."""

    def __init__(
        self,
        *,
        generator: Generator,
        prompts: Prompts,
        passes: int = _PASSES,
        candidates: int | None = None,
        structured: bool = True,
        prompt_lang: Literal["en", "query"] = "en",
        max_tokens: int = 16,
    ) -> None:
        if passes < 1 or (candidates is not None and candidates < 1):
            raise ConfigError(
                f"reranker kind 'pairwise': `passes: {passes}` must be at least 1, `candidates: {candidates}` at least "
                "1 or null"
            )
        self._judge = Judge(generator, prompts, prompt_lang=prompt_lang, max_tokens=max_tokens)
        self._passes = passes
        self._candidates = candidates
        self._structured = structured

    async def rerank(self, query: Query, hits: Sequence[Hit]) -> list[Hit]:
        ranked = list(hits)
        winners: dict[frozenset[Passage], Passage | None] = {}
        last = len(ranked[: self._candidates]) - 1
        for settled in range(min(self._passes, last)):
            changed = False
            for lower in range(last, settled, -1):
                above, below = ranked[lower - 1], ranked[lower]
                pair = frozenset((above.passage, below.passage))
                if pair not in winners:
                    winners[pair] = await self._better(query, above.passage, below.passage)
                if winners[pair] == below.passage:
                    ranked[lower - 1 : lower + 1] = below, above
                    changed = True
            if not changed:
                break
        return judging.in_order(ranked)

    async def _better(self, query: Query, one: Passage, other: Passage) -> Passage | None:
        """Return the better passage, asked in both orders; None if the replies disagree or one is unreadable."""
        replies = await gather_or_cancel(self._preferred(query, *pair) for pair in ((one, other), (other, one)))
        trace.count("comparisons")
        if None in replies:
            trace.count("unreadable")
            trace.note("the reranker's model did not name one of two passages in some replies; they keep their order")
            return None
        if replies[0] == replies[1]:
            trace.count("ties")
            return None
        return one if replies[0] == "A" else other

    async def _preferred(self, query: Query, first: Passage, second: Passage) -> Literal["A", "B"] | None:
        prompt = self._judge.prompt(query)
        completion = await self._judge.ask(
            [first.content, second.content],
            lambda texts: prompt.pair_messages(query.text, *texts, structured=self._structured),
            dict(PAIR_SCHEMA) if self._structured else None,
        )
        return read_preference(completion.text)
