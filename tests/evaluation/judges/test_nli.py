"""Tiny random XLM-Rs with the labels of natural language inference: what is tested is how their labels are read."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from qttrag.errors import ConfigError
from qttrag.evaluation.judges.nli import NliJudge
from qttrag.trace import Trace
from qttrag.types import Lang
from tests import tiny_models

KO = Lang("ko")
PREMISE, CLAIM = "The bridge opened in 1905.", "다리는 1905년에 개통되었다."


@pytest.fixture(scope="module")
def nli(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model whose most probable label is always number 2, "Entailment"."""
    out = tmp_path_factory.mktemp("nli")
    return tiny_models.make_nli(out, ("contradiction", "neutral", "Entailment"), always=2)


async def test_a_premise_supports_a_claim_if_entailment_is_most_probable(nli: Path) -> None:
    assert await NliJudge(str(nli), device="cpu").supports(PREMISE, CLAIM, KO) is True
    other = NliJudge(str(nli), device="cpu", entailment="neutral")
    assert await other.supports(PREMISE, CLAIM, KO) is False


async def test_the_verdicts_of_a_batch_are_those_of_each_pair(tmp_path: Path) -> None:
    judge = NliJudge(str(tiny_models.make_nli(tmp_path, ("entailment", "neutral", "contradiction"))), device="cpu")
    pairs = [(f"{PREMISE} {n}" * n, CLAIM[n:]) for n in range(1, 9)]
    together = await asyncio.gather(*(judge.supports(*pair, KO) for pair in pairs))
    assert together == [await judge.supports(*pair, KO) for pair in pairs]
    assert set(together) == {True, False}


async def test_a_pair_that_is_too_long_is_counted(nli: Path) -> None:
    trace, judge = Trace(), NliJudge(str(nli), device="cpu", max_tokens=32)
    with trace.stage("support_judge"):
        await judge.supports(PREMISE * 20, CLAIM, KO)
        await judge.supports("1905", "1905", KO)
    assert trace.counts == {"support_judge.truncated": 1}


async def test_a_model_that_does_not_name_its_entailment_is_refused(tiny: Path, nli: Path) -> None:
    with pytest.raises(ConfigError, match=r"which of its labels is entailment \(labels: LABEL_0\); set `entailment:`"):
        await NliJudge(str(tiny / "reranker")).start()
    with pytest.raises(ConfigError, match="unknown label 'Entailed'"):
        await NliJudge(str(nli), entailment="Entailed").start()


def test_the_identity_is_of_the_weights_and_the_label(nli: Path, tiny: Path) -> None:
    identities = {
        NliJudge(str(nli)).identity,
        NliJudge(str(nli), entailment="neutral").identity,
        NliJudge(str(tiny / "reranker")).identity,
    }
    assert len(identities) == 3
