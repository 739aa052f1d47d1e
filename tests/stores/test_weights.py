"""Learned weights of tokens in Milvus and Qdrant: exported with an index, searched as the index's own are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from qttrag.encoders import token_weights
from qttrag.encoders.sentence_transformers import SentenceTransformersKind
from qttrag.errors import CollectionError, ConfigError
from qttrag.indexes import recipe
from qttrag.indexes.jobs.append import recipe_for_file
from qttrag.indexes.jobs.remove import remove
from qttrag.retrievers.dense import DenseRetriever
from qttrag.retrievers.hybrid import HybridRetriever
from qttrag.retrievers.sparse import SparseRetriever
from qttrag.stores.database import SearchSettings
from qttrag.stores.export import export
from qttrag.stores.milvus import milvus
from qttrag.stores.qdrant import qdrant
from qttrag.stores.versioned import VersionedCollection
from qttrag.types import Hit, Lang, Passage, Query, TokenWeights
from tests import deployment, tiny_m3
from tests.indexes import synthetic
from tests.indexes.jobs.real_encoders import append, build
from tests.stores import databases

QUERY = Query("Milloin Turku perustettiin vuonna 1903?", Lang("fi"))
kinds = pytest.mark.parametrize("kind", databases.KINDS)


class Built:
    """An index with weights, in its folder and in each database."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.encoder = SentenceTransformersKind(str(tiny_m3.make(home / "m3")), device="cpu")
        file = deployment.write_recipe(home, home, n=24, encoder={"model": str(home / "m3")})
        file.write_text(file.read_text(encoding="utf-8") + "sparse: true\nshard_rows: 10\n", encoding="utf-8")
        build(recipe.load(file))
        for kind in databases.KINDS:
            export(deployment.RECIPE, self.store(kind))

    def store(self, kind: str) -> VersionedCollection:
        return databases.store(kind, self.home, deployment.RECIPE)

    async def hits(self, where: Any, query: Query = QUERY, k: int = 50, **settings: Any) -> list[Hit]:
        retriever = SparseRetriever(encoder=self.encoder, collections=[where], **settings)
        return await retriever.retrieve(query, k)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("QTTRAG_HOME", str(home))
        return Built(home)


@pytest.fixture(autouse=True)
def _home(built: Built, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QTTRAG_HOME", str(built.home))


def ids(hits: list[Hit]) -> list[str]:
    return [hit.passage.passage_id for hit in hits]


def random_weights(texts: int, *, seed: int, tokens: int = 12) -> TokenWeights:
    """Return weights of `tokens` of 60 tokens for each text; every tenth text has none."""
    random = np.random.default_rng(seed)
    counts = np.where(np.arange(texts) % 10 == 9, 0, tokens)
    chosen = [np.sort(random.choice(60, count, replace=False)) for count in counts]
    weights = random.random(int(counts.sum())).astype(np.float16).astype(np.float32) + 0.01
    return TokenWeights(np.cumsum([0, *counts]), np.concatenate(chosen).astype(np.int32), weights)


@kinds
def test_the_first_fifty_are_those_of_an_exact_sum(kind: str, tmp_path: Path) -> None:
    vectors, weights = synthetic.vectors(100), random_weights(100, seed=1)
    passages = [Passage(f"p{row:04d}", f"text {row}", synthetic.LANGS[row % 4]) for row in range(100)]
    database = databases.store(kind, tmp_path).database
    database.create("v", 64, "{}", rows=100, sparse=True)
    database.upsert("v", passages, vectors, weights)
    question = token_weights.rows(random_weights(2, seed=2))[0]
    (hits,) = database.search_weights("v", question, SearchSettings(50, "all", None, database.index))
    of_question = token_weights.by_token(question)[0]
    scores = [sum(of.get(t, 0.0) * w for t, w in of_question.items()) for of in token_weights.by_token(weights)]
    expected = sorted(range(100), key=lambda row: -scores[row])[:50]
    assert ids(sorted(hits, key=lambda hit: -hit.score)) == [f"p{row:04d}" for row in expected]


@kinds
@pytest.mark.parametrize("settings", [{}, {"languages": ["query", "ko"]}], ids=["all", "two languages"])
async def test_hits_and_scores_are_those_of_the_folder(kind: str, settings: dict[str, Any], built: Built) -> None:
    own = await built.hits(deployment.RECIPE, **settings)
    found = await built.hits(built.store(kind), **settings)
    assert len(own) > 3
    assert [hit.passage for hit in found] == [hit.passage for hit in own]
    assert [hit.score for hit in found] == pytest.approx([hit.score for hit in own], abs=1e-5)


async def test_hits_of_a_folder_and_of_databases_are_merged_by_score(built: Built) -> None:
    own = await built.hits(deployment.RECIPE, k=3)
    everywhere: list[Any] = [deployment.RECIPE, *map(built.store, databases.KINDS)]
    retriever = SparseRetriever(encoder=built.encoder, collections=everywhere)
    hits = await retriever.retrieve(QUERY, 9)
    assert sorted(ids(hits)) == sorted(ids(own) * 3)


@kinds
async def test_appended_and_removed_passages_come_and_go_with_their_weights(
    kind: str, built: Built, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QTTRAG_HOME", str(tmp_path))
    file = deployment.write_recipe(tmp_path, built.home, n=8, encoder={"model": str(built.home / "m3")})
    file.write_text(file.read_text(encoding="utf-8") + "sparse: true\n", encoding="utf-8")
    build(recipe.load(file))
    store = databases.store(kind, tmp_path, deployment.RECIPE)
    export(deployment.RECIPE, store)
    more = deployment.write_source(tmp_path / "more.jsonl", n=12)
    more.write_text("\n".join(more.read_text(encoding="utf-8").splitlines()[8:]), encoding="utf-8")
    append(deployment.RECIPE, recipe_for_file(deployment.RECIPE, more))
    before = await built.hits(deployment.RECIPE)
    remove(deployment.RECIPE, [before[0].passage.passage_id])
    export(deployment.RECIPE, store, update=True)
    own = await built.hits(deployment.RECIPE)
    assert ids(await built.hits(store)) == ids(own) == ids(before)[1:]


@kinds
async def test_a_collection_without_weights_is_named_with_the_way_out(
    kind: str, built: Built, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QTTRAG_HOME", str(tmp_path))
    synthetic.index(synthetic.vectors(3), "Flat")
    store = databases.store(kind, tmp_path)
    export("synthetic", store)
    with pytest.raises(CollectionError, match=r"'synthetic'.*no weights of tokens; add `sparse: true`"):
        await built.hits(store)


def test_a_store_without_a_search_by_weights_is_refused(built: Built) -> None:
    class OtherStore:
        name = "other"

    other: Any = OtherStore()
    with pytest.raises(ConfigError, match=r"the store of 'other' has no search by weights"):
        SparseRetriever(encoder=built.encoder, collections=[other])


@kinds
def test_a_retriever_is_made_without_opening_its_store(kind: str, built: Built) -> None:
    made = milvus if kind == "milvus" else qdrant
    store = made(collection="elsewhere", url="http://127.0.0.1:1", timeout=1)
    assert SparseRetriever(encoder=built.encoder, collections=[store]).collections == ["elsewhere"]


@kinds
async def test_hybrid_hits_are_those_of_the_folder(kind: str, built: Built) -> None:
    hits = []
    for where in (deployment.RECIPE, built.store(kind)):
        collections: list[Any] = [where]
        dense = DenseRetriever(encoder=built.encoder, collections=collections)
        sparse = SparseRetriever(encoder=built.encoder, collections=collections)
        hits.append(await HybridRetriever(first=dense, second=sparse).retrieve(QUERY, 10))
    assert hits[1] == hits[0]
