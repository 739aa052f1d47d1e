"""Rerankers behind servers with `/rerank`: TEI, vLLM, Jina, Cohere."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from qttrag import trace
from qttrag.errors import ConfigError
from qttrag.models.loading import Lazy, locate
from qttrag.openai_client.capabilities import Request
from qttrag.openai_client.connection import Connection
from qttrag.openai_client.endpoint import CallLimits, Endpoint, Remedies
from qttrag.rerankers.by_score import by_score
from qttrag.runtime.tasks import gather_or_cancel
from qttrag.types import Hit, Query

if TYPE_CHECKING:
    import openai

_STAGE = "reranker"
_REMEDIES = Remedies(
    not_found="correct `model:`, `base_url:` (TEI: without /v1) or `api:`",
    rejected="if it takes fewer passages or tokens at once, lower `batch:`, or set `tokenizer:` and `max_tokens:`",
)


class _Form(NamedTuple):
    """How a server is asked: the fields of a request, and the key of the list of results and of a score in it."""

    request: Callable[[str, str, list[str]], dict[str, Any]]
    results: str | None
    score: str


def _documents(model: str, query: str, texts: list[str]) -> dict[str, Any]:
    return {"model": model, "query": query, "documents": texts, "top_n": len(texts)}


_FORMS: Mapping[str, _Form] = {
    "jina": _Form(_documents, "results", "relevance_score"),
    "cohere": _Form(_documents, "results", "relevance_score"),
    "vllm": _Form(lambda *asked: {**_documents(*asked), "truncate_prompt_tokens": -1}, "results", "relevance_score"),
    "tei": _Form(
        lambda _, query, texts: {"query": query, "texts": texts, "raw_scores": True, "truncate": True}, None, "score"
    ),
}


class ServedReranker:
    """Reranker kind `served`: scores are the server's, higher is better; TEI is asked for raw scores.

    `api`: the form of requests: `vllm`, `jina`, `cohere` (POST BASE_URL/rerank, where BASE_URL usually ends in /v1 or
    /v2) or `tei` (BASE_URL without /v1). `base_url`: one or several servers of the same model; a call goes to the least
    busy of those that work. `model`: the server's name of it; TEI has one and ignores the name.
    `tokenizer`: a folder or hub name; passages are cut here, so that question and passage have at most `max_tokens`.
    Without one the server cuts them, as all four do.
    `batch`: passages in a request (TEI takes 32); `in_flight`: requests at once to each server; `timeout`: read timeout
    in seconds; `retries`, `patience`: as for generators."""

    def __init__(
        self,
        model: str,
        *,
        base_url: str | list[str],
        api: Literal["vllm", "tei", "jina", "cohere"] = "vllm",
        api_key_env: str = "OPENAI_API_KEY",
        tokenizer: str | None = None,
        max_tokens: int = 512,
        batch: int = 32,
        in_flight: int = 16,
        timeout: float = 60.0,
        retries: int = 3,
        patience: float = 30.0,
    ) -> None:
        urls = [base_url] if isinstance(base_url, str) else base_url
        if not urls or not all(url.startswith(("http://", "https://")) for url in urls):
            raise ConfigError(f"reranker kind 'served': `base_url: {base_url}`: give http://host:port/v1, or a list")
        if min(batch, in_flight) < 1 or max_tokens < 8 or timeout <= 0 or min(retries, patience) < 0:
            raise ConfigError(
                f"reranker kind 'served': `batch: {batch}` and `in_flight: {in_flight}` must be at least 1, "
                f"`max_tokens: {max_tokens}` at least 8, `timeout: {timeout:g}` above 0, `retries: {retries}` and "
                f"`patience: {patience:g}` at least 0"
            )
        limits = CallLimits(5.0, timeout, None, patience, retries)
        base_urls = tuple(dict.fromkeys(url.rstrip("/") for url in urls))
        self._connection = Connection(Endpoint(_STAGE, model, base_urls, api_key_env, in_flight, limits, _REMEDIES))
        self._model = model
        self._form = _FORMS[api]
        self._batch = batch
        self._max_tokens = max_tokens
        self._tokenizer = None if tokenizer is None else Lazy(lambda: _load_tokenizer(tokenizer))

    async def close(self) -> None:
        await self._connection.close()

    async def rerank(self, query: Query, hits: Sequence[Hit]) -> list[Hit]:
        async def score(contents: list[str]) -> list[float]:
            texts = await self._cut(query.text, contents)
            batches = [texts[start : start + self._batch] for start in range(0, len(texts), self._batch)]
            scored = await gather_or_cancel(self._scores(query.text, batch) for batch in batches)
            return [score for batch in scored for score in batch]

        return await by_score(hits, score, model=self._model)

    async def _scores(self, query: str, texts: list[str]) -> list[float]:
        form, headers = self._form, trace.headers()

        async def send(client: openai.AsyncOpenAI, request: Request, held: AsyncExitStack) -> list[float]:
            reply = await client.post("/rerank", body=dict(request), cast_to=object, options={"headers": headers})
            return _in_order(reply, form, len(texts))

        trace.count("requests")
        async with self._connection.client().call(form.request(self._model, query, texts), send) as call:
            return call.reply

    async def _cut(self, query: str, texts: list[str]) -> list[str]:
        """Return the beginnings of the texts that leave room for the question; all as they are without a tokenizer."""
        if self._tokenizer is None:
            return texts
        tokenizer = await self._tokenizer.get()
        special = tokenizer.num_special_tokens_to_add(pair=True)
        asked = len(tokenizer(query, add_special_tokens=False, verbose=False)["input_ids"])
        room = max(1, self._max_tokens - special - asked)
        offsets = tokenizer(texts, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
        ends = [of_text[room - 1][1] if len(of_text) > room else None for of_text in offsets["offset_mapping"]]
        trace.count("truncated", sum(end is not None for end in ends))
        return [text[:end] for text, end in zip(texts, ends, strict=True)]


def _in_order(reply: Any, form: _Form, n: int) -> list[float]:
    """Return the scores of a reply in the order of the request.

    Raises:
        ValueError: the reply has another form, or lacks a passage."""
    results = reply if form.results is None else reply.get(form.results) if isinstance(reply, dict) else None
    if not isinstance(results, list) or not all(isinstance(result, dict) for result in results):
        raise ValueError(f"no list of results{'' if form.results is None else f' under {form.results!r}'}")
    scores = {result.get("index"): result.get(form.score) for result in results}
    if sorted(scores, key=str) != sorted(range(n), key=str) or len(results) != n:
        raise ValueError(f"results for the passages {sorted(scores, key=str)} of {n}")
    if not all(isinstance(score, int | float) and math.isfinite(score) for score in scores.values()):
        raise ValueError(f"'{form.score}' is not a finite number in every result")
    return [float(scores[n]) for n in range(n)]


def _load_tokenizer(model: str) -> Any:
    from transformers import AutoTokenizer

    path = locate(_STAGE, model, revision=None, model_types=(), weights=False).path
    tokenizer = AutoTokenizer.from_pretrained(path)
    if not tokenizer.is_fast:
        raise ConfigError(f"{_STAGE}: the tokenizer in {path} has no tokenizer.json; save it again with transformers 5")
    return tokenizer
