"""The estimated time of a question."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from qttrag.application.estimate import Rates, measure_rates, question, weights_of
from qttrag.config.deployment import Deployment
from qttrag.models.inventory import NamedModel

RATES = Rates(operations=100e9, bytes=10e9)


def deployment(**settings: Any) -> Deployment:
    stages = {
        "retriever": {"kind": "bm25", "collections": ["c"]},
        "reranker": {"kind": "cross_encoder", "model": "r", "dtype": "float32"},
        "translator": {"kind": "nllb", "model": "t", "beam_size": 1},
        "tagger": {"kind": "llm"},
        "generator": {"kind": "transformers", "model": "g"},
    }
    return Deployment.model_validate({"depth": 20, "top_k": 5, "strategy": "qtt_rag", **stages, **settings})


def seconds(of: Deployment, weights: dict[str, float]) -> dict[str, float]:
    return {stage.stage: stage.seconds for stage in question(of, weights, RATES)}


def test_reranking_takes_two_operations_for_each_weight_and_token() -> None:
    assert seconds(deployment(), {"reranker": 300e6}) == {"rerank": pytest.approx(2 * 300e6 * 20 * 200 / 100e9)}


def test_int8_is_faster_than_float32() -> None:
    int8 = deployment(reranker={"kind": "cross_encoder", "model": "r"})
    assert seconds(int8, {"reranker": 1e8})["rerank"] < seconds(deployment(), {"reranker": 1e8})["rerank"]


def test_beams_take_time() -> None:
    four = deployment(translator={"kind": "nllb", "model": "t"})
    assert seconds(four, {"translator": 1e8})["translate"] == pytest.approx(
        2.5 * seconds(deployment(), {"translator": 1e8})["translate"]
    )


def test_the_tagger_has_the_generators_model_unless_it_has_its_own() -> None:
    assert set(seconds(deployment(), {"generator": 1e9})) == {"tag", "answer"}
    own = {"generator": 1e9, "tagger.generator": 1e8}
    assert seconds(deployment(), own)["tag"] < seconds(deployment(), {"generator": 1e9})["tag"]


def test_weights_in_4_bits_are_read_faster_from_memory() -> None:
    gguf = deployment(generator={"kind": "llama_cpp", "model": "g.gguf"})
    weights = {"generator": 1e9}
    assert seconds(gguf, weights)["answer"] < seconds(deployment(), weights)["answer"]


def test_a_stage_without_a_model_here_is_left_out() -> None:
    assert question(deployment(), {}, RATES) == []


def test_embeddings_are_not_multiplied(tiny: Path) -> None:
    named = NamedModel("reranker", "cross_encoder", str(tiny / "reranker"), None, Path("d.yaml"), ("reranker",))
    layer = 4 * 64 * 64 + 2 * 64 * 128
    assert weights_of(named) == 2 * layer + 64 * 64 + 64  # and the head


def test_a_model_that_is_not_here_has_no_number_of_weights() -> None:
    assert weights_of(NamedModel("reranker", "cross_encoder", "/none", None, Path("d.yaml"), ("reranker",))) is None


def test_the_rates_of_this_machine_are_positive() -> None:
    assert all(rate > 1e6 for rate in measure_rates())
