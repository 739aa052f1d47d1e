"""Rerankers behind servers with /rerank, against scripted servers on loopback."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from qttrag.errors import ConfigError, StageError
from qttrag.rerankers.served import ServedReranker
from qttrag.trace import Trace
from qttrag.types import Hit, Lang, Passage, Query
from tests.openai_client.server import Reply, Server, failure

QUERY = Query("Silta?", Lang("fi"))
HITS = [Hit(Passage(f"p{n}", f"passage {'x' * n}", Lang("en")), 1.0) for n in range(5)]


def score(text: str) -> float:
    return float(text.count("x"))


def reply(results: object) -> Reply:
    return Reply(json.dumps(results).encode(), kind="application/json")


def documents(body: dict[str, Any]) -> Reply:
    """Reply as vLLM, Jina and Cohere do: best first, with the index of each."""
    scores = sorted(((score(text), n) for n, text in enumerate(body["documents"])), reverse=True)
    return reply({"id": "x", "results": [{"index": n, "relevance_score": value} for value, n in scores]})


def texts(body: dict[str, Any]) -> Reply:
    """Reply as TEI does."""
    results = [{"index": n, "score": score(text)} for n, text in enumerate(body["texts"])]
    return reply(sorted(results, key=lambda result: -result["score"]))


def reranker(server: Server, **settings: Any) -> ServedReranker:
    return ServedReranker("m", base_url=server.base_url, **{"retries": 0, **settings})


async def ranked(made: ServedReranker, hits: list[Hit] = HITS) -> list[tuple[str, float]]:
    try:
        return [(hit.passage.passage_id, hit.score) for hit in await made.rerank(QUERY, hits)]
    finally:
        await made.close()


@pytest.mark.parametrize(
    ("api", "respond"), [("vllm", documents), ("jina", documents), ("cohere", documents), ("tei", texts)]
)
async def test_scores_belong_to_the_passages_of_the_request(
    api: str, respond: Callable[[dict[str, Any]], Reply]
) -> None:
    with Server(respond) as server:
        assert await ranked(reranker(server, api=api)) == [(f"p{n}", float(n)) for n in (4, 3, 2, 1, 0)]


async def test_each_server_is_asked_in_its_own_form() -> None:
    with Server(texts) as tei, Server(documents) as vllm, Server(documents) as jina:
        await ranked(reranker(tei, api="tei"), HITS[:1])
        await ranked(reranker(vllm, api="vllm"), HITS[:1])
        await ranked(reranker(jina, api="jina"), HITS[:1])
    assert tei.requests == [{"query": "Silta?", "texts": ["passage "], "raw_scores": True, "truncate": True}]
    plain = {"model": "m", "query": "Silta?", "documents": ["passage "], "top_n": 1}
    assert jina.requests == [plain]
    assert vllm.requests == [{**plain, "truncate_prompt_tokens": -1}]


async def test_requests_have_at_most_so_many_passages_as_a_server_takes() -> None:
    trace = Trace()
    with Server(documents) as server, trace.stage("rerank"):
        assert [name for name, _ in await ranked(reranker(server, batch=2))] == ["p4", "p3", "p2", "p1", "p0"]
    assert sorted(len(request["documents"]) for request in server.requests) == [1, 2, 2]
    assert trace.counts["rerank.requests"] == 3


async def test_equal_passages_are_scored_once_and_ordered_by_id() -> None:
    same = [Hit(Passage(name, "The same.", Lang("en")), 0.0) for name in ("c", "a", "b")]
    with Server(documents) as server:
        assert [name for name, _ in await ranked(reranker(server), same)] == ["a", "b", "c"]
    assert server.requests[0]["documents"] == ["The same."]


async def test_a_long_passage_is_cut_with_the_tokenizer(tiny: Path) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny / "reranker")
    long = Hit(Passage("x", "one two three " * 40, Lang("en")), 0.0)
    trace = Trace()
    with Server(documents) as server, trace.stage("rerank"):
        await ranked(reranker(server, tokenizer=str(tiny / "reranker"), max_tokens=32), [long, HITS[0]])
    sent, short = server.requests[0]["documents"]
    assert long.passage.content.startswith(sent)
    assert len(tokenizer(QUERY.text, sent)["input_ids"]) == 32
    assert short == HITS[0].passage.content
    assert trace.counts["rerank.truncated"] == 1


async def test_another_server_takes_over_from_one_that_fails() -> None:
    trace = Trace()
    with Server(failure(500)) as broken, Server(documents) as good, trace.stage("rerank"):
        made = ServedReranker("m", base_url=[broken.base_url, good.base_url], retries=1)
        assert (await ranked(made))[0] == ("p4", 4.0)
    assert trace.counts["rerank.retried"] == 1


async def test_a_server_that_is_down_is_named() -> None:
    made = ServedReranker("m", base_url="http://127.0.0.1:9/v1", retries=0)
    with pytest.raises(StageError, match=r"reranker: http://127\.0\.0\.1:9/v1 .*cannot be reached.*`base_url:`"):
        await ranked(made)


@pytest.mark.parametrize(
    ("results", "words"),
    [
        ({"results": [{"index": 0, "relevance_score": 1.0}]}, "of 2"),
        ({"results": [{"index": 0, "relevance_score": 1.0}] * 2}, "of 2"),
        ({"results": [{"index": n, "relevance_score": None} for n in range(2)]}, "not a finite number"),
        ({"data": []}, "no list of results"),
        ([1, 2], "no list of results"),
    ],
)
async def test_an_incomplete_reply_is_an_error(results: object, words: str) -> None:
    with Server(reply(results)) as server, pytest.raises(StageError, match=rf"invalid reply.*{words}"):
        await ranked(reranker(server), HITS[:2])


async def test_without_hits_no_server_is_asked() -> None:
    with Server(documents) as server:
        assert await ranked(reranker(server), []) == []
    assert server.requests == []


def test_settings_out_of_range_are_refused() -> None:
    with pytest.raises(ConfigError, match="`batch: 0`"):
        ServedReranker("m", base_url="http://x/v1", batch=0)
    with pytest.raises(ConfigError, match="base_url"):
        ServedReranker("m", base_url="x:80")
