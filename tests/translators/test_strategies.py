"""Every strategy answers with every translator kind."""

from __future__ import annotations

from dataclasses import replace

import pytest

from qttrag.application import registry
from qttrag.protocols import Closable
from qttrag.types import UNSUPPORTED, AskRequest
from tests.server import running
from tests.translators.kinds import TranslatorsByKind


@pytest.mark.parametrize("kind", sorted(registry.KINDS["translator"]))
async def test_every_strategy_answers_with_every_translator_kind(kind: str, translators: TranslatorsByKind) -> None:
    translator = translators.make(kind)
    application = running.application()
    application = replace(application, stages=replace(application.stages, translator=translator))
    for strategy in sorted(registry.KINDS["strategy"]):
        answer = await application.ask(AskRequest("Mikä on pääkaupunki?", lang="fi", strategy=strategy))
        assert answer.text == "It is Helsinki [1]."
        assert answer.degraded == []
        assert all(UNSUPPORTED not in passage.flags for passage in answer.context)
        if strategy in ("cross_rag", "qtt_rag"):
            assert {p.passage.lang for p in answer.context if p.translation is not None} == {"ko", "en"}
    if isinstance(translator, Closable):
        await translator.close()
