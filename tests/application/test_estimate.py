"""The estimated time of a question."""

from __future__ import annotations

from typing import Any

import pytest

from qttrag.application.estimate import Rates, StageSeconds, first_and_later, measure_rates, question
from qttrag.config.deployment import Deployment
from qttrag.models.sizes import ModelSize

RATES = Rates(operations=100e9, bytes=10e9)
ENCODER = {"kind": "sentence_transformers", "model": "e"}
LLAMA_CPP = {"kind": "llama_cpp", "model": "g.gguf"}


def deployment(**settings: Any) -> Deployment:
    stages = {
        "retriever": {
            "kind": "dense",
            "encoder": {"kind": "sentence_transformers", "model": "e"},
            "collections": ["c"],
        },
        "reranker": {"kind": "cross_encoder", "model": "r", "dtype": "float32"},
        "translator": {"kind": "nllb", "model": "t", "beam_size": 1},
        "tagger": {"kind": "llm"},
        "generator": {"kind": "transformers", "model": "g"},
    }
    return Deployment.model_validate({"depth": 20, "top_k": 5, "strategy": "qtt_rag", **stages, **settings})


def stages(of: Deployment, weights: dict[str, float]) -> dict[str, StageSeconds]:
    """Return the stages by name, for models of one byte a weight."""
    sizes = {place: ModelSize(size, size) for place, size in weights.items()}
    return {stage.stage: stage for stage in question(of, sizes, RATES)}


def seconds(of: Deployment, weights: dict[str, float]) -> dict[str, float]:
    return {name: stage.seconds for name, stage in stages(of, weights).items()}


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


def test_an_answer_reads_instructions_and_passages_and_writes_each_token_from_memory() -> None:
    reads, writes = 2 * 1e9 * (400 + 5 * 200) / 100e9, 60 * 1e9 / 10e9
    assert seconds(deployment(), {"generator": 1e9})["answer"] == pytest.approx(reads + writes)


def test_the_tagger_has_the_generators_model_unless_it_has_its_own() -> None:
    assert set(seconds(deployment(), {"generator": 1e9})) == {"tag", "answer"}
    own = deployment(tagger={"kind": "llm", "generator": {"kind": "transformers", "model": "small"}})
    sizes = {"generator": 1e9, "tagger.generator": 1e8}
    assert seconds(own, sizes)["tag"] < seconds(deployment(), sizes)["tag"]


def test_a_tagger_whose_model_is_on_a_server_takes_no_time_here() -> None:
    served = deployment(
        tagger={"kind": "llm", "generator": {"kind": "openai", "model": "m", "base_url": "http://h/v1"}}
    )
    assert set(seconds(served, {"generator": 1e9})) == {"answer"}


def test_an_embedding_tagger_encodes_each_original_and_each_translation() -> None:
    embedding = deployment(tagger={"kind": "embedding"})
    taken = seconds(embedding, {"retriever.encoder": 20e6, "generator": 1e9})["tag"]
    assert taken == pytest.approx(2 * 20e6 * 3 * 2 * 200 / 100e9)
    own = deployment(tagger={"kind": "embedding", "encoder": ENCODER})
    assert seconds(own, {"retriever.encoder": 20e6, "tagger.encoder": 40e6})["tag"] == pytest.approx(2 * taken)


def test_an_encoder_in_int8_scores_faster() -> None:
    fast = deployment(tagger={"kind": "embedding", "encoder": {**ENCODER, "dtype": "int8"}})
    slow = deployment(tagger={"kind": "embedding", "encoder": ENCODER})
    assert seconds(fast, {"tagger.encoder": 1e8})["tag"] < seconds(slow, {"tagger.encoder": 1e8})["tag"]


def test_llama_cpp_writes_six_tokens_of_a_verdict_and_reads_those_that_the_schema_forces() -> None:
    reads, writes = 2 * 1e9 * (400 + 3 * (400 + 19)) / 100e9, 3 * 6 * 1e9 / 10e9
    assert seconds(deployment(generator=LLAMA_CPP), {"generator": 1e9})["tag"] == pytest.approx(reads + writes)


@pytest.mark.parametrize("generator", [LLAMA_CPP, {"kind": "transformers", "model": "g"}])
def test_only_the_first_question_reads_the_instructions_of_each_kind_of_prompt(generator: dict[str, str]) -> None:
    read_once = 2 * 1e9 * 400 / 100e9
    measured = stages(deployment(generator=generator), {"generator": 1e9})
    assert set(measured) == {"tag", "answer"}
    for stage in measured.values():
        assert stage.later == pytest.approx(stage.seconds - read_once)


def test_stages_without_instructions_take_as_long_for_later_questions() -> None:
    for stage in stages(deployment(), {"reranker": 1e8, "translator": 1e8}).values():
        assert stage.later == stage.seconds


def test_later_questions_are_shown_where_they_take_less_time() -> None:
    assert first_and_later(1024.4, 20.2, decimals=0) == "1,024, later ones in the same language 20"
    assert first_and_later(0.04, 0.03, decimals=1) == "0.0"


def test_a_stage_without_a_model_here_is_left_out() -> None:
    assert question(deployment(), {}, RATES) == []


def test_the_rates_of_this_machine_are_positive() -> None:
    assert all(rate > 1e6 for rate in measure_rates())
