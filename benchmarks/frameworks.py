"""txtai against qttrag on the same work, by the same models: `python -m benchmarks.frameworks` (benchmarks/README.md).

Retrieval and generation by the models of the demo, reranking by a tiny cross-encoder with random weights. Results are
compared first, then both are timed in turn. It needs the collections of the demo (`make demo`) and txtai."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import typer

from benchmarks.one_by_one import MODELS
from benchmarks.released import Row, compare, report
from demo.corpus import questions
from qttrag.application.application import Application
from qttrag.config import deployment as config
from qttrag.generators.transformers import TransformersGenerator
from qttrag.indexes.collection import open_index
from qttrag.rerankers.cross_encoder import CrossEncoderReranker
from qttrag.runtime.tasks import gather_or_cancel
from qttrag.types import Decoding, Hit, Lang, Message, Query
from tests import tiny_models

COLLECTION, LANG = "demo-en", Lang("en")
_DEPTH, _READ, _TOKENS, _AT_ONCE = 20, 3, 24, 16


async def retrieval(application: Application, queries: Sequence[Query], rounds: int) -> Row:
    """Compare the search of all questions at once; the encoders of both run on sentence-transformers' files."""
    from txtai import Embeddings

    passages = open_index(COLLECTION).passages
    theirs: Any = Embeddings(path=str(MODELS / "encoder"), method="sentence-transformers", content=False)
    theirs.index([(row, passages[row].content, None) for row in range(len(passages))])
    texts = [query.text for query in queries]

    async def one() -> Any:
        return theirs.batchsearch(texts, _DEPTH)

    async def other() -> list[list[Hit]]:
        retriever = application.stages.retriever
        return await gather_or_cancel(retriever.retrieve(query, _DEPTH) for query in queries)

    found = [[passages[row].passage_id for row, _ in hits] for hits in await one()]
    own = [[hit.passage.passage_id for hit in hits] for hits in await other()]
    shared = sum(len(set(a) & set(b)) for a, b in zip(found, own, strict=True)) / (len(queries) * _DEPTH)
    first = sum(a[0] == b[0] for a, b in zip(found, own, strict=True))
    remark = f"best {_DEPTH} of {len(passages)}: {shared:.1%} shared, first equal for {first} of {len(queries)}"
    return await compare(f"search {len(queries)} questions", one, other, rounds, remark)


async def reranking(hits: Sequence[Sequence[Hit]], queries: Sequence[Query], rounds: int, folder: Path) -> Row:
    """Compare the scores of the passages of each question, in float32."""
    from txtai.pipeline import CrossEncoder

    model = str(tiny_models.make_reranker(folder / "reranker"))
    theirs, ours = CrossEncoder(model, gpu=False), CrossEncoderReranker(model, device="cpu", dtype="float32")
    rows = list(zip(queries, hits, strict=True))

    async def one() -> list[list[tuple[int, float]]]:
        return [
            theirs(query.text, [hit.passage.content for hit in own], multilabel=None, labels=None)
            for query, own in rows
        ]

    async def other() -> list[list[Hit]]:
        return await gather_or_cancel(ours.rerank(query, list(own)) for query, own in rows)

    difference = 0.0
    for (_, own), ranked, scores in zip(rows, await other(), await one(), strict=True):
        by_id = {own[place].passage.passage_id: float(score) for place, score in scores}
        difference = max(difference, *(abs(hit.score - by_id[hit.passage.passage_id]) for hit in ranked))
    remark = f"{sum(map(len, hits))} passages; scores differ by at most {difference:.1e}"
    return await compare(f"rerank the passages of {len(queries)} questions", one, other, rounds, remark)


async def generation(prompts: Sequence[list[Message]], rounds: int) -> Row:
    """Compare greedy answers, in batches of equal size."""
    from txtai import LLM

    model = str(MODELS / "language-model")
    theirs: Any = LLM(model, method="transformers", dtype="float32", gpu=False)
    ours = TransformersGenerator(model, device="cpu", max_batch=_AT_ONCE)

    async def one() -> list[str]:
        replies: list[str] = theirs(prompts, max_new_tokens=_TOKENS, maxlength=None, batch_size=_AT_ONCE)
        return replies

    async def other() -> list[str]:
        replies = await gather_or_cancel(ours.complete(prompt, Decoding(max_tokens=_TOKENS)) for prompt in prompts)
        return [reply.text for reply in replies]

    equal = sum(a.strip() == b.strip() for a, b in zip(await one(), await other(), strict=True))
    remark = f"{equal} are equal; up to {_TOKENS} tokens, batches of {_AT_ONCE}"
    return await compare(f"answer {len(prompts)} prompts", one, other, rounds, remark)


def prompt(query: Query, hits: Sequence[Hit]) -> list[Message]:
    read = "\n".join(hit.passage.content for hit in hits[:_READ])
    return [{"role": "user", "content": f"{read}\n{query.text}"}]


async def measure(n: int, rounds: int) -> AsyncIterator[Row]:
    english = (question.text for question in questions("test") if question.lang == LANG)
    queries = [Query(text, LANG) for text in islice(english, n)]
    retriever = {"collections": [COLLECTION], "languages": [LANG]}
    async with Application.open(config.load("demo", {"retriever": retriever})) as application:
        yield await retrieval(application, queries, rounds)
        hits = [await application.stages.retriever.retrieve(query, _DEPTH) for query in queries]
    with tempfile.TemporaryDirectory() as folder:
        yield await reranking(hits, queries, rounds, Path(folder))
    yield await generation([prompt(*row) for row in zip(queries, hits, strict=True)], rounds)


def main(
    n: int = typer.Option(64, "--questions", min=1, help="English test questions of the demo."),
    rounds: int = typer.Option(3, min=1, help="Runs of both in turn."),
) -> None:
    """Print the seconds of both, and how many times faster qttrag is."""
    report("txtai", measure(n, rounds))


if __name__ == "__main__":
    app = typer.Typer(pretty_exceptions_enable=False)
    app.command()(main)
    app()
