"""A service for the page's tests, whose answers depend on words of the question, and what it is asked about."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from typing import Any, ClassVar

from qttrag.application.application import Application
from qttrag.errors import StageError
from qttrag.testing import FakeGenerator, FakeRetriever, FakeTagger
from qttrag.types import CriticalError, Decoding, Hit, Lang, Message, Passage, QualityScores, Query, Verdict
from tests.server.running import PASSAGES, application

HOSTILE = "<img src=x onerror=\"document.title='owned'\"> [1] <script>document.title='owned'</script> [9]"
PIVOT = Passage("en-2", "Helsinki has been the capital since 1812.", Lang("en"), "History of Helsinki")


class PageRetriever(FakeRetriever):
    """Finds one more passage if it is asked in English, as a strategy that translates the question asks."""

    collections: ClassVar[list[str]] = ["wiki-fi", "wiki-ko", "wiki-en"]

    async def retrieve(self, query: Query, k: int) -> list[Hit]:
        hits = [Hit(PIVOT, 9.0)] if query.text.startswith("en<") else []
        hits += await super().retrieve(query, k)
        return [hit for hit in hits if query.collections is None or f"wiki-{hit.passage.lang}" in query.collections]


class PageGenerator(FakeGenerator):
    """Answers "It is Helsinki [1]."; or slowly, with an error in the middle, with markup, or in Arabic."""

    async def generate(self, messages: Sequence[Message], decoding: Decoding) -> AsyncIterator[str]:
        self.seen.append((list(messages), decoding))
        asked = str(messages)
        if "broken" in asked:
            yield "half "
            raise StageError("generator", "http://127.0.0.1:9 went away")
        if "slow" in asked:
            for _ in range(100):
                yield "word "
                await asyncio.sleep(0.05)
        yield self._reply(asked)

    def _reply(self, asked: str) -> str:
        if "hostile" in asked:
            return HOSTILE
        if "عاصمة" in asked:
            return "عاصمة فنلندا هي Helsinki [1]."
        return "Turku" if "which other" in asked and "1812" in asked else "It is Helsinki [1]."


def judge(translation: str) -> Verdict:
    """The Korean passage is translated as badly as can be; the hostile one lacks a name."""
    if "서울" in translation:
        return Verdict(QualityScores(0.0, 0.0, 0.0))
    return Verdict(QualityScores(4.5, 4.0, 3.5), critical_errors=(CriticalError("names", ("Turku",)),))


EXAMPLES = {
    "en": ["When was Oodi opened?", "Who lives in Turku?", "What is a sauna?", "A fourth question"],
    "fi": ["Milloin Oodi avattiin?", "Mikä on sauna?"],
    "ar": ["ما عاصمة فنلندا؟"],
}


def page_application(generator: Any = None, **server: Any) -> Application:
    """An application of fakes for the page. `server`: its limits."""
    made = application(generator or PageGenerator(), **server)
    stages = replace(made.stages, retriever=PageRetriever(PASSAGES), tagger=FakeTagger(judge))
    return replace(made, stages=stages, deployment=made.deployment.model_copy(update={"examples": EXAMPLES}))
