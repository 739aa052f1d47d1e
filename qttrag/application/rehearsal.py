"""Whether a deployment has the stages that a strategy needs, before any model is loaded."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from qttrag.errors import ConfigError
from qttrag.pipeline.stages import Stages
from qttrag.testing import FakeGenerator, FakeReranker, FakeRetriever, FakeTagger, FakeTranslator
from qttrag.trace import Trace
from qttrag.types import Lang, Passage, Query, ignore

_REMEMBERED = 256  # options come from requests: without a limit, they would fill the memory
_QUERY = Query("?", Lang("ko"), "rehearsal")
_PASSAGES = [Passage("en", "A bridge.", Lang("en")), Passage("fi", "Silta.", Lang("fi"))]


class Rehearsals:
    """Which strategies, with which options, the stages of a deployment suffice for; each is run once."""

    def __init__(self) -> None:
        self._passed: set[str] = set()

    async def check(self, strategy: Callable[..., Any], options: Mapping[str, Any], stages: Stages) -> None:
        """Raise the ConfigError of `rehearse` if the deployment lacks a stage; `stages` are always the same ones."""
        key = f"{strategy.__module__}.{strategy.__qualname__} {json.dumps(options, sort_keys=True, default=str)}"
        if key in self._passed:
            return
        await rehearse(strategy, options, stages)
        if len(self._passed) >= _REMEMBERED:
            self._passed.clear()
        self._passed.add(key)


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
