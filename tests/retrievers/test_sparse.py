"""Retrieval by learned weights of tokens: hits against a sum over all passages, and weights through all changes."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from qttrag import resources
from qttrag.encoders.m3_encoder import M3Encoder
from qttrag.encoders.sentence_transformers import SentenceTransformersKind
from qttrag.errors import CollectionError, ConfigError
from qttrag.indexes import recipe as recipes
from qttrag.indexes.collection import open_index, verify
from qttrag.indexes.jobs.append import recipe_for_file
from qttrag.indexes.jobs.compact import compact
from qttrag.indexes.jobs.index_job import Progress
from qttrag.indexes.jobs.remove import remove
from qttrag.retrievers.dense import DenseRetriever
from qttrag.retrievers.hybrid import HybridRetriever
from qttrag.retrievers.sparse import SparseRetriever
from qttrag.types import Lang, Passage, Query
from tests import deployment, tiny_m3
from tests.indexes.jobs.real_encoders import append, build
from tests.texts import facts

ROWS, SHARD = 40, 16
QUERY = Query("Milloin Turku perustettiin vuonna 1903?", Lang("fi"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_m3.make(tmp_path_factory.mktemp("models") / "m3")


@pytest.fixture(scope="module")
def kind(folder: Path) -> SentenceTransformersKind:
    return SentenceTransformersKind(str(folder), device="cpu")


def recipe(path: Path, model: Path, **settings: Any) -> recipes.Recipe:
    deployment.write_source(path / "mixed.jsonl", n=ROWS)
    source = {"kind": "jsonl", "path": "./mixed.jsonl"}
    content = {"source": source, "encoder": {"model": str(model), "device": "cpu"}, "shard_rows": SHARD}
    (path / "mixed.yaml").write_text(yaml.safe_dump({**content, "sparse": True, **settings}))
    return recipes.load(path / "mixed.yaml")


@pytest.fixture
def built(tmp_path: Path, folder: Path) -> recipes.Recipe:
    made = recipe(tmp_path, folder)
    build(made)
    return made


def expected(kind: SentenceTransformersKind, query: Query, passages: list[Passage]) -> dict[str, float]:
    """Return the score of each passage that shares a token with the question, by id."""
    encoder: Any = kind.load()
    assert isinstance(encoder, M3Encoder)
    asked, *weights = encoder.weigh([query.text, *(passage.content for passage in passages)])
    of_question = dict(zip(asked.tokens.tolist(), asked.weights.tolist(), strict=True))
    scores = {}
    for passage, of_passage in zip(passages, weights, strict=True):
        stored = of_passage.weights.astype(np.float16).tolist()
        pairs = zip(of_passage.tokens.tolist(), stored, strict=True)
        if score := sum(weight * of_question.get(token, 0.0) for token, weight in pairs):
            scores[passage.passage_id] = score
    return scores


def stored_passages() -> list[Passage]:
    passages = open_index("mixed").passages
    return passages.take(passages.remaining_rows())


async def test_hits_are_those_of_a_sum_over_all_passages(built: recipes.Recipe, kind: SentenceTransformersKind) -> None:
    hits = await SparseRetriever(encoder=kind, collections=["mixed"]).retrieve(QUERY, 100)
    scores = expected(kind, QUERY, stored_passages())
    assert {hit.passage.passage_id: hit.score for hit in hits} == pytest.approx(scores, abs=1e-3)
    assert 5 < len(scores) < ROWS
    assert hits == sorted(hits, key=lambda hit: (-hit.score, hit.passage.passage_id))
    assert await SparseRetriever(encoder=kind, collections=["mixed"]).retrieve(QUERY, 7) == hits[:7]


async def test_only_passages_in_the_languages_of_the_setting_are_hits(
    built: recipes.Recipe, kind: SentenceTransformersKind
) -> None:
    retriever = SparseRetriever(encoder=kind, collections=["mixed"], languages=["query"])
    assert {hit.passage.lang for hit in await retriever.retrieve(QUERY, 100)} == {"fi"}


async def test_a_question_may_choose_collections(built: recipes.Recipe, kind: SentenceTransformersKind) -> None:
    build(built.model_copy(update={"name": "other"}))
    retriever = SparseRetriever(encoder=kind, collections=["mixed", "other"])
    both = await retriever.retrieve(QUERY, 100)
    one = await retriever.retrieve(replace(QUERY, collections=("other",)), 100)
    assert len(both) == 2 * len(one) > 0


async def test_an_index_without_weights_names_the_setting(tmp_path: Path, folder: Path) -> None:
    build(recipe(tmp_path, folder, sparse=False))
    retriever = SparseRetriever(encoder=SentenceTransformersKind(str(folder), device="cpu"), collections=["mixed"])
    with pytest.raises(CollectionError, match=r"no weights of tokens; add `sparse: true`.*index build mixed"):
        await retriever.start()


def test_a_recipe_needs_an_encoder_that_weighs_tokens(tmp_path: Path, tiny: Path) -> None:
    with pytest.raises(ConfigError, match="gives no weights of tokens"):
        build(recipe(tmp_path, tiny / "encoder"))


async def test_dense_sparse_and_bm25_are_fused_with_one_pass_for_a_question(
    built: recipes.Recipe, kind: SentenceTransformersKind
) -> None:
    from qttrag.retrievers.bm25 import BM25Retriever

    parts: list[Any] = [
        DenseRetriever(encoder=kind, collections=["mixed"]),
        SparseRetriever(encoder=kind, collections=["mixed"]),
        BM25Retriever(collections=["mixed"]),
    ]
    hybrid = HybridRetriever(first=parts[0], second=parts[1], third=parts[2])
    loaded: Any = kind.load()
    passes: list[int] = []
    handle = loaded._encoder._model._model.register_forward_hook(lambda *_: passes.append(1))
    hits = await hybrid.retrieve(replace(QUERY, text="Turku ja Helsinki"), 10)
    handle.remove()
    assert passes == [1]
    assert hybrid.collections == ["mixed"]
    rankings = [await part.retrieve(replace(QUERY, text="Turku ja Helsinki"), 10) for part in parts]
    first = hits[0].passage
    ranks = [
        [hit.passage for hit in ranking].index(first) + 1
        for ranking in rankings
        if first in {h.passage for h in ranking}
    ]
    assert hits[0].score == pytest.approx(sum(1 / (60 + rank) for rank in ranks))


def weights_files() -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (resources.built_folder() / "mixed").glob("weights-*.arrow")}


def test_an_interrupted_build_stores_the_weights_of_an_undisturbed_one(built: recipes.Recipe) -> None:
    undisturbed = weights_files()
    assert sorted(undisturbed) == [f"weights-{n:05d}.arrow" for n in range(3)]

    class Stop(Exception):
        pass

    def stop(progress: Progress) -> None:
        if progress.step == "encode" and progress.passages > SHARD:
            raise Stop

    with pytest.raises(Stop):
        build(built, progress=stop, overwrite=True)
    build(built, overwrite=True)
    assert weights_files() == undisturbed


async def test_appended_removed_and_compacted_passages_are_searched_as_in_a_new_index(
    built: recipes.Recipe, kind: SentenceTransformersKind, tmp_path: Path
) -> None:
    file = tmp_path / "more.jsonl"
    texts = [fact.say("fi") for fact in facts(6, seed=99)]
    file.write_text(
        "".join(json.dumps({"id": f"n{n}", "text": text, "lang": "fi"}) + "\n" for n, text in enumerate(texts))
    )
    retriever = SparseRetriever(encoder=kind, collections=["mixed"])
    earlier = await retriever.retrieve(QUERY, 100)
    append("mixed", recipe_for_file("mixed", file))
    remove("mixed", {"fi-2", "n1"})
    before = await retriever.retrieve(QUERY, 100)
    assert {hit.passage.passage_id for hit in earlier} != {hit.passage.passage_id for hit in before}
    assert {hit.passage.passage_id: hit.score for hit in before} == pytest.approx(
        expected(kind, QUERY, stored_passages()), abs=1e-3
    )
    assert {"n0#0", "n2#0"} < {hit.passage.passage_id for hit in before}
    compact("mixed")
    assert await SparseRetriever(encoder=kind, collections=["mixed"]).retrieve(QUERY, 100) == before
    assert verify("mixed") == []


def test_passages_without_weights_are_not_appended(built: recipes.Recipe, tmp_path: Path) -> None:
    with pytest.raises(CollectionError, match="sparse was True, is False"):
        append("mixed", built.model_copy(update={"sparse": False}))
