"""Whether a deployment has the stages that a strategy needs, before any model is loaded."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from qttrag.errors import ConfigError
from qttrag.pipeline.stages import Stages
from qttrag.testing import FakeGenerator, FakeReranker, FakeRetriever, FakeTagger, FakeTranslator
from qttrag.trace import Trace
from qttrag.types import Lang, Passage, Query, ignore

_QUERY = Query("?", Lang("ko"), "rehearsal")
_PASSAGES = [Passage("en", "A bridge.", Lang("en")), Passage("fi", "Silta.", Lang("fi"))]


async def rehearse(strategy: Callable[..., Any], options: Mapping[str, Any], stages: Stages) -> None:
    """Run a strategy on fakes of the stages that there are, with passages in other languages than the question.

    Raises:
        ConfigError: the strategy needs a stage that the deployment lacks."""
    if stages.translator is not None and stages.tagger is not None:
        return
    fakes = replace(
        stages,
        retriever=FakeRetriever(_PASSAGES),
        reranker=FakeReranker(),
        translator=None if stages.translator is None else FakeTranslator(),
        tagger=None if stages.tagger is None else FakeTagger(),
        generator=FakeGenerator(),
        guard=None,
        trace=Trace(),
        emit=ignore,
    )
    try:
        await strategy(_QUERY, fakes, **options)
    except ConfigError:
        raise
    except Exception:  # noqa: S110  a strategy may need more than fakes have; the question itself will tell
        pass
