"""Fake stages for tests of code that uses qttrag: small and deterministic.

No fake is a kind in the registry, so no deployment can use one by mistake.
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Callable, Collection, Sequence

from qttrag.types import (
    CRITERIA,
    UNSUPPORTED,
    Completion,
    Decoding,
    Hit,
    Lang,
    Message,
    Passage,
    QualityScores,
    Query,
    Translation,
    Verdict,
)


class FakeRetriever:
    """Returns the passages that share most words with the query."""

    def __init__(self, passages: Sequence[Passage]) -> None:
        self.passages = list(passages)

    async def retrieve(self, query: Query, k: int) -> list[Hit]:
        words = set(query.text.lower().split())
        hits = [Hit(p, float(len(words & set(p.content.lower().split())))) for p in self.passages]
        return sorted(hits, key=lambda hit: (-hit.score, hit.passage.passage_id))[:k]


class FakeReranker:
    """Ranks shorter passages first."""

    async def rerank(self, query: Query, hits: Sequence[Hit]) -> list[Hit]:
        scored = [Hit(hit.passage, 1 / (1 + len(hit.passage.content))) for hit in hits]
        return sorted(scored, key=lambda hit: (-hit.score, hit.passage.passage_id))


class FakeDetector:
    """Returns the same language for every text."""

    def __init__(self, lang: str) -> None:
        self.lang = Lang(lang)

    async def detect(self, texts: Sequence[str]) -> list[Lang]:
        return [self.lang for _ in texts]


class FakeTranslator:
    """Translates `text` into Korean as "ko<text>". `seen`: its inputs. `unsupported`: languages it does not support."""

    identity = "fake"

    def __init__(self, unsupported: Collection[str] = ()) -> None:
        self.unsupported = unsupported
        self.seen: list[str] = []

    async def translate(self, texts: Sequence[str], source: Sequence[Lang], target: Lang) -> list[Translation]:
        self.seen += texts
        return [
            Translation(text, (UNSUPPORTED,))
            if {lang, target} & set(self.unsupported)
            else Translation(f"{target}<{text}>")
            for text, lang in zip(texts, source, strict=True)
        ]


class FakeTagger:
    """Returns the verdict of `judge` for each translation. `seen`: its inputs."""

    measures = CRITERIA

    def __init__(self, judge: Callable[[str], Verdict] = lambda text: Verdict(QualityScores(4.5, 4.0, 3.5))) -> None:
        self.judge = judge
        self.seen: list[str] = []

    async def score(
        self, originals: Sequence[str], translations: Sequence[str], source: Sequence[Lang], target: Lang
    ) -> list[Verdict]:
        self.seen += translations
        return [self.judge(text) for text in translations]


class FakeGenerator:
    """Streams `reply(messages)` word by word. `seen`: its inputs. A token is four characters."""

    identity = "fake"

    def __init__(self, reply: Callable[[Sequence[Message]], str] = lambda messages: "42", context: int = 8192) -> None:
        self.reply = reply
        self.context = context
        self.seen: list[tuple[list[Message], Decoding]] = []

    async def count_tokens(self, messages: Sequence[Message]) -> int:
        return sum(math.ceil(len(message["content"]) / 4) for message in messages)

    async def generate(self, messages: Sequence[Message], decoding: Decoding) -> AsyncIterator[str]:
        self.seen.append((list(messages), decoding))
        words = self.reply(messages).split(" ")
        for number, word in enumerate(words):
            yield word if number == 0 else f" {word}"

    async def complete(self, messages: Sequence[Message], decoding: Decoding) -> Completion:
        return Completion("".join([piece async for piece in self.generate(messages, decoding)]))
