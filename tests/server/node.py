"""A node of a service whose cache is a Redis server and whose passages are in Milvus; the other stages are fakes.

`python -m tests.server.node PORT REDIS_URL MILVUS_URL`"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import uvicorn

from qttrag.application.application import Application
from qttrag.config.deployment import Deployment
from qttrag.generators.cached import CachedGenerator
from qttrag.pipeline.stages import Stages
from qttrag.prompts import Prompts
from qttrag.retrievers.dense import DenseRetriever
from qttrag.runtime.redis_cache import RedisCache
from qttrag.server import create_app
from qttrag.stores.milvus import milvus
from qttrag.taggers.llm import LLMTagger
from qttrag.testing import FakeDetector, FakeGenerator, FakeReranker, FakeTranslator
from qttrag.translators.cached import CachedTranslator
from qttrag.types import Completion, Decoding, Message
from tests.indexes.hashing_encoder import MODEL, HashingKind

COLLECTION = "facts"


class ScoringGenerator(FakeGenerator):
    """Scores where a schema is asked for, and else answers."""

    async def complete(self, messages: Sequence[Message], decoding: Decoding) -> Completion:
        if decoding.schema is None:
            return await super().complete(messages, decoding)
        return Completion('{"semantic": 4.5, "grammar": 4.0, "fluency": 3.5}')


def shared_application(url: str, store_url: str) -> Application:
    """Return an application whose translations, scores and answers are in the Redis server at `url`.

    `store_url`: of the Milvus server with the collection."""
    cache = RedisCache(url, timeout=5)
    generator = CachedGenerator(ScoringGenerator(lambda messages: "It is Helsinki [1]."), cache)
    deployment = Deployment(retriever={"kind": "fake"}, generator={"kind": "fake"}, strategy="qtt_rag")
    stages = Stages(
        retriever=DenseRetriever(
            encoder=HashingKind(MODEL), collections=[milvus(collection=COLLECTION, url=store_url, timeout=5)]
        ),
        reranker=FakeReranker(),
        translator=CachedTranslator(FakeTranslator(), cache),
        tagger=LLMTagger(generator=generator, prompts=Prompts()),
        generator=generator,
        prompts=Prompts(),
    )
    return Application(deployment, stages, FakeDetector("fi"), cache, [])


if __name__ == "__main__":
    app = create_app(application=shared_application(sys.argv[2], sys.argv[3]))
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="warning")
