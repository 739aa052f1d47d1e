"""A strategy whose stages are missing is refused before any model is loaded."""

from __future__ import annotations

from typing import Any

import pytest

from qttrag.application.application import Application
from qttrag.cli import main
from qttrag.config import deployment as config
from qttrag.errors import ConfigError
from qttrag.pipeline.stages import Stages
from qttrag.types import AskRequest, Query


def unloaded(**settings: Any) -> Application:
    """Return a deployment whose models do not exist: loading any of them is another error."""
    served = {"kind": "openai", "model": "m", "base_url": "http://127.0.0.1:9/v1"}
    encoder = {"kind": "sentence_transformers", "model": "/nowhere"}
    return Application.open(
        config.load(
            "laptop",
            {"retriever": {"kind": "dense", "collections": ["nowhere"], "encoder": encoder}, "generator": served,
             "translator": None, "tagger": None, **settings},
        )
    )  # fmt: skip


@pytest.mark.parametrize(
    ("strategy", "lacks"),
    [("cross_rag", "translator"), ("dkm_rag", "translator"), ("qtt_rag", "translator"), ("hard_filter", "translator"),
     ("query_translation", "translator")],
)  # fmt: skip
async def test_a_strategy_without_its_translator_is_refused_before_anything_is_loaded(
    strategy: str, lacks: str
) -> None:
    async with unloaded() as application:
        with pytest.raises(ConfigError, match=f"this strategy needs a {lacks}"):
            await application.ask(AskRequest("서울은?", strategy=strategy))


async def test_the_tagger_is_needed_only_for_scores() -> None:
    async with unloaded(translator={"kind": "nllb", "model": "/nowhere"}) as application:
        with pytest.raises(ConfigError, match="this strategy needs a tagger"):
            await application.check_strategy("qtt_rag", {})
        await application.check_strategy("qtt_rag", {"tags": False})


async def test_base_needs_neither() -> None:
    async with unloaded() as application:
        await application.check_strategy("base", {})


async def test_a_strategy_is_rehearsed_once_for_each_of_its_options() -> None:
    runs: list[bool] = []

    async def counting(query: Query, stages: Stages, *, tags: bool = True) -> None:
        runs.append(tags)

    async with unloaded() as application:
        for tags in (True, False, True, True, False):
            await application.rehearsals.check(counting, {"tags": tags}, application.stages)
    assert runs == [True, False]


async def test_a_strategy_that_lacks_a_stage_is_refused_every_time() -> None:
    async with unloaded() as application:
        for _ in range(2):
            with pytest.raises(ConfigError, match="this strategy needs a translator"):
                await application.check_strategy("qtt_rag", {})


async def test_models_are_not_loaded_for_a_strategy_that_lacks_a_stage() -> None:
    async with unloaded(strategy="qtt_rag") as application:
        with pytest.raises(ConfigError, match="this strategy needs a translator"):
            await application.start()


def test_a_service_does_not_start_with_a_strategy_that_lacks_a_stage(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["serve", "-c", "laptop", "--set", "translator=null", "--set", "strategy=qtt_rag", "--port", "0"]
    monkeypatch.setattr("sys.argv", ["qttrag", *words])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 2
    assert "this strategy needs a translator" in capsys.readouterr().err
