"""Language offset correction: hits are those of an index of corrected vectors, which is never built."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from typer.testing import CliRunner

from qttrag.cli import app
from qttrag.encoders.language_means import LanguageMeans
from qttrag.encoders.sentence_transformers import SentenceTransformersKind
from qttrag.errors import CollectionError, ConfigError
from qttrag.indexes.collection import open_index
from qttrag.indexes.jobs.measure_means import measure_means
from qttrag.retrievers import centring
from qttrag.retrievers.dense import DenseRetriever
from qttrag.stores.faiss_folder import FaissFolder
from qttrag.trace import Trace
from qttrag.types import Hit, Lang, Query
from tests import deployment
from tests.extensions.sqlite_store import SqliteStore
from tests.texts import LANGS, sentences

KO = Lang("ko")


@pytest.fixture
def built(tmp_path: Path, tiny: Path) -> LanguageMeans:
    """A collection in four languages and the means of its languages."""
    deployment.build(tmp_path, tiny)
    return measure_means("mixed")[1]


def retriever(tiny: Path, *collections: str, **settings: object) -> DenseRetriever:
    encoder = SentenceTransformersKind(str(tiny / "encoder"), device="cpu")
    return DenseRetriever(encoder=encoder, collections=collections, transform="centre", **settings)  # type: ignore[arg-type]


def corrected(tiny: Path, means: LanguageMeans, query: Query) -> dict[str, float]:
    """Return the score of each passage of the collection, computed from corrected vectors."""

    def mean(lang: Lang) -> NDArray[np.float32]:
        vector = means.of(lang)
        assert vector is not None
        return vector

    collection = open_index("mixed")
    vectors = collection.vectors.take(np.arange(len(collection.vectors)))
    encoder = SentenceTransformersKind(str(tiny / "encoder"), device="cpu").load()
    asked = encoder.encode([query.text])[0] - mean(query.lang)
    asked /= np.linalg.norm(asked)
    passages = [collection.passages[row] for row in range(len(vectors))]
    return {p.passage_id: float(asked @ (v - mean(p.lang))) for p, v in zip(passages, vectors, strict=True)}


def best(scores: dict[str, float], k: int) -> list[str]:
    return sorted(scores, key=lambda name: (-scores[name], name))[:k]


def ids(hits: list[Hit]) -> list[str]:
    return [hit.passage.passage_id for hit in hits]


@pytest.mark.parametrize("lang", LANGS)
async def test_hits_are_those_of_corrected_vectors(tiny: Path, built: LanguageMeans, lang: str) -> None:
    for text in sentences(lang, 4, seed=9):
        query = Query(text, Lang(lang))
        scores = corrected(tiny, built, query)
        hits = await retriever(tiny, "mixed").retrieve(query, 12)
        assert ids(hits) == best(scores, 12)
        assert [hit.score for hit in hits] == pytest.approx([scores[name] for name in ids(hits)], abs=1e-6)


async def test_it_changes_which_languages_are_found(tiny: Path, built: LanguageMeans) -> None:
    encoder = SentenceTransformersKind(str(tiny / "encoder"), device="cpu")
    plain = DenseRetriever(encoder=encoder, collections=["mixed"])
    queries = [Query(text, Lang(lang)) for lang in LANGS for text in sentences(lang, 4, seed=9)]
    before = [ids(await plain.retrieve(query, 10)) for query in queries]
    assert before != [ids(await retriever(tiny, "mixed").retrieve(query, 10)) for query in queries]


async def test_questions_in_several_languages_at_once_have_the_hits_of_each_alone(
    tiny: Path, built: LanguageMeans
) -> None:
    queries = [Query(text, Lang(lang)) for lang in LANGS for text in sentences(lang, 3, seed=9)]
    shared = retriever(tiny, "mixed")
    together = await asyncio.gather(*(shared.retrieve(query, 6) for query in queries))
    for query, hits in zip(queries, together, strict=True):
        assert ids(hits) == best(corrected(tiny, built, query), 6)


async def test_collections_share_their_means(tmp_path: Path, tiny: Path, built: LanguageMeans) -> None:
    deployment.build(tmp_path, tiny, n=12, name="other")
    other = measure_means("other")[1]
    pooled = centring.means_of([FaissFolder("mixed"), FaissFolder("other")])
    assert pooled.langs == built.langs == other.langs
    for n in range(len(pooled.langs)):
        assert pooled.counts[n] == built.counts[n] + other.counts[n]
        expected = (built.counts[n] * built.vectors[n] + other.counts[n] * other.vectors[n]) / pooled.counts[n]
        np.testing.assert_allclose(pooled.vectors[n], expected, atol=1e-6)


async def test_only_chosen_languages_are_searched(tiny: Path, built: LanguageMeans) -> None:
    hits = await retriever(tiny, "mixed", languages=["en", "query"]).retrieve(Query("다리", KO), 40)
    assert {hit.passage.lang for hit in hits} == {"en", "ko"}


async def test_quotas_count_corrected_hits(tiny: Path, built: LanguageMeans) -> None:
    hits = await retriever(tiny, "mixed", quotas={"query": 0.5}).retrieve(Query("다리", KO), 10)
    assert sum(hit.passage.lang == KO for hit in hits) >= 5


async def test_corrected_hits_are_counted(tiny: Path, built: LanguageMeans) -> None:
    trace = Trace()
    with trace.stage("retrieve"):
        await retriever(tiny, "mixed").retrieve(Query("다리", KO), 7)
    assert trace.counts["retrieve.centred"] == 7
    assert trace.notes == []


async def test_a_question_in_a_language_without_passages_is_noted(tiny: Path, built: LanguageMeans) -> None:
    trace = Trace()
    with trace.stage("retrieve"):
        assert len(await retriever(tiny, "mixed").retrieve(Query("Brücke", Lang("de")), 7)) == 7
    assert trace.notes == ["no passage is in German (de): the mean of all passages was subtracted from the question"]


async def test_an_index_without_means_says_how_to_measure_them(tmp_path: Path, tiny: Path) -> None:
    deployment.build(tmp_path, tiny)
    with pytest.raises(CollectionError, match="qttrag index measure-means mixed"):
        await retriever(tiny, "mixed").start()


async def test_a_store_without_means_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"`transform: centre`: the store of 'x' has no means"):
        centring.means_of([SqliteStore(Path("x.sqlite"))])


def test_doctor_reports_whether_the_means_are_measured(tmp_path: Path, tiny: Path) -> None:
    deployment.build(tmp_path, tiny)
    settings = {"kind": "dense", "encoder": deployment.encoder(tiny), "collections": ["mixed"], "transform": "centre"}
    file = deployment.write_deployment(tmp_path, tiny, retriever=settings)

    def means() -> dict[str, object]:
        shown = CliRunner().invoke(app, ["doctor", "-c", str(file), "--json"])
        (found,) = [finding for finding in json.loads(shown.stdout) if finding["what"] == "means of mixed"]
        return dict(found)

    assert means()["ok"] is False
    measure_means("mixed")
    assert means() == {"what": "means of mixed", "ok": True, "detail": "en 10, fi 10, ko 10, zh 10"}
