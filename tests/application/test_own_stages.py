"""A nested stage that is the deployment's own."""

from __future__ import annotations

from typing import Any

import pytest

from qttrag.application.factory import Builder
from qttrag.config.deployment import Deployment
from qttrag.errors import ConfigError
from qttrag.prompts import Prompts

BM25 = {"kind": "bm25", "collections": ["my"], "translator": "deployment"}
NLLB = {"kind": "nllb", "model": "m"}


def builder(**settings: Any) -> Builder:
    hybrid = {"kind": "hybrid", "first": BM25, "second": {"kind": "bm25", "collections": ["other"]}}
    return Builder(Deployment(retriever=hybrid, generator={"kind": "openai"}, **settings), Prompts(), None)


def test_a_retriever_may_use_the_translator_of_the_deployment() -> None:
    building = builder(translator=NLLB)
    building.build("retriever", BM25)
    assert [stage for stage, _ in building.built()] == ["translator", "retriever"]
    own = building.build("translator", NLLB)
    assert own in [built for _, built in building.built()]
    assert len(building.built()) == 2


def test_a_deployment_without_the_stage_is_named() -> None:
    with pytest.raises(ConfigError, match="`translator: deployment`: the deployment has no `translator:`"):
        builder().build("retriever", BM25)
