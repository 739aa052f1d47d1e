"""What every kind of reranker promises: all hits, best first, each with a finite score."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from qttrag.application import registry
from qttrag.application.application import Application
from qttrag.config import deployment as config
from qttrag.protocols import Reranker
from qttrag.types import Hit, Lang, Passage, Query
from tests import deployment, tiny_causal, tiny_multi_vector
from tests.openai_client.server import Reply, Server
from tests.texts import LANGS, sentences

QUERY = Query("다리는 언제 개통되었는가?", Lang("ko"))
HITS = [Hit(Passage(f"p{n}", sentences(lang, 9)[n], Lang(lang), "T"), 1 / (n + 1)) for n, lang in enumerate(LANGS * 2)]


def _documents(body: dict[str, Any]) -> Reply:
    results = [{"index": n, "relevance_score": len(text) / 100} for n, text in enumerate(body["documents"])]
    return Reply(json.dumps({"results": results}).encode(), kind="application/json")


@pytest.fixture(scope="module")
def settings(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, dict[str, Any]]]:
    """Return the settings of each kind on a tiny model or a scripted server."""
    models = tmp_path_factory.mktemp("models")
    qwen3 = tiny_causal.make_qwen3_reranker(models / "qwen3-reranker")
    multi_vector = tiny_multi_vector.make(models / "multi-vector")
    with Server(_documents) as server:
        yield {
            "cross_encoder": {"model": str(tiny / "reranker"), "device": "cpu"},
            "causal_lm": {"model": str(qwen3), "device": "cpu"},
            "multi_vector": {"model": str(multi_vector), "device": "cpu"},
            "served": {"model": "m", "base_url": server.base_url},
            "listwise": {"window": 4, "step": 2},
            "pairwise": {"passes": 2},
            "none": {},
        }


@pytest.fixture(params=sorted(registry.KINDS["reranker"]))
def reranker(
    request: pytest.FixtureRequest, settings: dict[str, dict[str, Any]], tmp_path: Path, tiny: Path
) -> Reranker:
    """Return a reranker of each kind in the registry, as a deployment makes it."""
    spec = {"kind": request.param, **settings[request.param]}
    file = deployment.write_deployment(tmp_path, tiny, reranker=spec)
    return Application.open(config.load(file)).stages.reranker


async def test_all_hits_come_back_once_with_finite_scores_best_first(reranker: Reranker) -> None:
    ranked = await reranker.rerank(QUERY, HITS)
    assert sorted(hit.passage.passage_id for hit in ranked) == sorted(hit.passage.passage_id for hit in HITS)
    assert all(math.isfinite(hit.score) for hit in ranked)
    assert [hit.score for hit in ranked] == sorted((hit.score for hit in ranked), reverse=True)


async def test_passages_are_returned_unchanged(reranker: Reranker) -> None:
    assert {hit.passage for hit in await reranker.rerank(QUERY, HITS)} == {hit.passage for hit in HITS}


async def test_the_same_hits_get_the_same_order_again(reranker: Reranker) -> None:
    assert await reranker.rerank(QUERY, HITS) == await reranker.rerank(QUERY, HITS)


async def test_no_hits_and_one_hit_need_no_order(reranker: Reranker) -> None:
    assert await reranker.rerank(QUERY, []) == []
    (only,) = await reranker.rerank(QUERY, HITS[:1])
    assert only.passage == HITS[0].passage
