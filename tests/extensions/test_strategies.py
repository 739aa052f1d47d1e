"""A strategy of another package is one function, registered by an entry point."""

from __future__ import annotations

import json
import sys

import pytest

from qttrag.application.factory import strategy_options
from qttrag.cli import main
from qttrag.errors import ConfigError
from qttrag.pipeline.stages import Stages
from qttrag.prompts import Prompts
from qttrag.rerankers.none import NoReranker
from qttrag.testing import FakeGenerator, FakeRetriever, FakeTagger, FakeTranslator
from qttrag.types import Lang, Passage, Query

PASSAGES = [Passage("ko-1", "서울 대한민국의 수도", Lang("ko")), Passage("en-1", "en<서울 capital", Lang("en"))]


async def test_it_answers_in_the_verbs_of_stages() -> None:
    stages = Stages(
        retriever=FakeRetriever(PASSAGES),
        reranker=NoReranker(),
        translator=FakeTranslator(),
        tagger=FakeTagger(),
        generator=FakeGenerator(lambda messages: "서울"),
        prompts=Prompts(),
        depth=1,
        top_k=2,
    )
    strategy, options = strategy_options("two_searches", {"pivot": "English"})
    answer = await strategy(Query("서울 수도", Lang("ko")), stages, **options)
    assert [tagged.passage.passage_id for tagged in answer.context] == ["ko-1", "en-1"]
    assert [tagged.scores is not None for tagged in answer.context] == [False, True]


def test_its_options_are_checked() -> None:
    with pytest.raises(ConfigError, match="strategy 'two_searches': 'pivott'; did you mean 'pivot'"):
        strategy_options("two_searches", {"pivott": "en"})


def test_it_is_listed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["qttrag", "strategies", "--json"])
    with pytest.raises(SystemExit):
        main()
    options = {row["strategy"]: row["options"] for row in json.loads(capsys.readouterr().out)}
    assert options["two_searches"] == {"pivot": "en"}
