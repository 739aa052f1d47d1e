"""Dense retrieval in one or several collections."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from numpy.typing import NDArray

from qttrag.encoders.sentence_transformers import SentenceTransformersEncoder, SentenceTransformersKind
from qttrag.errors import CollectionError, ConfigError, InputError, PartialHits, StageUnavailable
from qttrag.indexes.recipe import load
from qttrag.retrievers.dense import DenseRetriever
from qttrag.stores.faiss_folder import FaissFolder
from qttrag.types import Hit, Lang, Query
from tests import deployment, tiny_models
from tests.indexes.jobs import real_encoders
from tests.texts import LANGS, paragraph, sentences

KO = Lang("ko")


def build(folder: Path, tiny: Path, name: str, n: int = 40, encoder: Path | None = None) -> None:
    folder.mkdir(exist_ok=True)
    made = load(deployment.write_recipe(folder, tiny, n=n))
    settings = made.encoder.model_copy(update={"model": str(encoder or tiny / "encoder")})
    real_encoders.build(made.model_copy(update={"name": name, "encoder": settings}))


def retriever(tiny: Path, *collections: str, languages: list[str] | None = None) -> DenseRetriever:
    return DenseRetriever(encoder=encoder(tiny), collections=collections, languages=languages)


def encoder(tiny: Path) -> SentenceTransformersKind:
    return SentenceTransformersKind(str(tiny / "encoder"), device="cpu")


def _ids(hits: list[Hit]) -> list[str]:
    return [hit.passage.passage_id for hit in hits]


async def test_hits_come_best_first_with_ties_by_id(tmp_path: Path, tiny: Path) -> None:
    build(tmp_path, tiny, "one")
    hits = await retriever(tiny, "one").retrieve(Query("서울의 다리", KO), 20)
    assert len(hits) == 20
    assert hits == sorted(hits, key=lambda hit: (-hit.score, hit.passage.passage_id))


async def test_several_collections_are_merged_by_score(tmp_path: Path, tiny: Path) -> None:
    build(tmp_path, tiny, "one", 40)
    build(tmp_path / "b", tiny, "two", 12)
    query = Query("서울의 다리", KO)
    apart = [await retriever(tiny, name).retrieve(query, 10) for name in ("one", "two")]
    together = await retriever(tiny, "one", "two").retrieve(query, 10)
    expected = sorted(apart[0] + apart[1], key=lambda hit: (-hit.score, hit.passage.passage_id))[:10]
    assert together == expected


async def test_a_question_is_searched_in_the_collections_it_names(tmp_path: Path, tiny: Path) -> None:
    build(tmp_path, tiny, "one", 40)
    build(tmp_path / "b", tiny, "two", 12)
    both, query = retriever(tiny, "one", "two"), Query("서울의 다리", KO)
    asked = [replace(query, collections=chosen) for chosen in (("two",), ("one",), ("one", "two"), None)]
    found = await asyncio.gather(*(both.retrieve(each, 10) for each in asked))
    alone = [await retriever(tiny, name).retrieve(query, 10) for name in ("two", "one")]
    assert [_ids(hits) for hits in found[:2]] == [_ids(hits) for hits in alone]
    assert _ids(found[2]) == _ids(found[3])


def test_a_collection_given_by_its_path_has_the_name_of_its_folder(tiny: Path) -> None:
    assert retriever(tiny, "one", "/srv/indexes/two", "./two").collections == ["one", "two"]


async def test_languages_can_be_english_and_the_language_of_the_question(tmp_path: Path, tiny: Path) -> None:
    build(tmp_path, tiny, "one")
    made = retriever(tiny, "one", languages=["en", "query"])
    assert {h.passage.lang for h in await made.retrieve(Query("다리", KO), 40)} == {"en", "ko"}
    assert {h.passage.lang for h in await made.retrieve(Query("silta", Lang("fi")), 40)} == {"en", "fi"}


async def test_concurrent_questions_have_the_hits_of_each_alone(tmp_path: Path, tiny: Path) -> None:
    build(tmp_path, tiny, "one")
    made = retriever(tiny, "one", languages=["en", "query"])
    queries = [Query(text, Lang(lang)) for lang in LANGS for text in sentences(lang, 4)]
    together = await asyncio.gather(*(made.retrieve(query, 5) for query in queries))
    for query, hits in zip(queries, together, strict=True):
        alone = await made.retrieve(query, 5)
        assert [hit.passage for hit in hits] == [hit.passage for hit in alone]
        assert [hit.score for hit in hits] == pytest.approx([hit.score for hit in alone], abs=1e-5)


async def test_another_encoder_than_that_of_the_index_is_refused(tmp_path: Path, tiny: Path) -> None:
    other = tiny_models.make_encoder(tmp_path / "other", seed=9)
    build(tmp_path, tiny, "one", encoder=other)
    with pytest.raises(
        CollectionError, match=r"'one' was built with the encoder .*other.*the deployment has .*encoder"
    ):
        await retriever(tiny, "one").start()


async def test_a_missing_collection_is_named_with_the_command_that_builds_it(tiny: Path) -> None:
    with pytest.raises(CollectionError, match=r"unknown index 'wiki-en'.*qttrag index build wiki-en"):
        await retriever(tiny, "wiki-en").start()


def test_no_collections_are_refused(tiny: Path) -> None:
    with pytest.raises(ConfigError, match=r"`collections:` is empty"):
        retriever(tiny)


def test_an_unknown_language_is_refused(tiny: Path) -> None:
    with pytest.raises(InputError, match="unknown language 'klingon'"):
        retriever(tiny, "one", languages=["klingon"])


async def test_counting_lengths_while_the_encoder_works_changes_no_vectors(tiny: Path) -> None:
    """A text is counted without truncation in one thread while it is cut to `max_tokens` in another."""
    loaded = SentenceTransformersEncoder(str(tiny / "encoder"), revision=None, device="cpu", max_tokens=64)
    texts = [paragraph("en", 20, seed=n) for n in range(8)]
    alone = loaded.encode(texts)
    loop = asyncio.get_running_loop()
    working = loop.run_in_executor(None, lambda: [loaded.encode(texts) for _ in range(60)])
    while not working.done():
        assert min(loaded.lengths(texts)) > 64
        await asyncio.sleep(0)
    for vectors in await working:
        assert abs(vectors - alone).max() < 1e-4


class Remote(FaissFolder):
    """A store on a server, which may be down."""

    def __init__(self, name: str, *, place: str, is_down: bool = False) -> None:
        super().__init__(name)
        self.place = place
        self.is_down = is_down

    def search(
        self, vectors: NDArray[np.float32], k: int, languages: Sequence[Lang] | Literal["all"]
    ) -> list[list[Hit]]:
        if self.is_down:
            raise StageUnavailable("retriever", f"{self.place} is down")
        return super().search(vectors, k, languages)


async def test_stores_at_several_places_are_merged_by_score(tmp_path: Path, tiny: Path) -> None:
    build(tmp_path, tiny, "one", 40)
    build(tmp_path / "b", tiny, "two", 12)
    stores = [FaissFolder("one"), Remote("two", place="http://a")]
    apart = DenseRetriever(encoder=encoder(tiny), collections=stores)
    query = Query("서울의 다리", KO)
    assert await apart.retrieve(query, 10) == await retriever(tiny, "one", "two").retrieve(query, 10)


async def test_where_one_of_two_places_is_down_the_error_has_the_hits_of_the_other(tmp_path: Path, tiny: Path) -> None:
    build(tmp_path, tiny, "one", 40)
    build(tmp_path / "b", tiny, "two", 12)
    stores = [FaissFolder("one"), Remote("two", place="http://a", is_down=True)]
    dense, query = DenseRetriever(encoder=encoder(tiny), collections=stores), Query("서울의 다리", KO)
    with pytest.raises(PartialHits, match="http://a is down") as partial:
        await dense.retrieve(query, 10)
    assert partial.value.hits == await retriever(tiny, "one").retrieve(query, 10)
    assert partial.value.public == "the retriever could not search all collections; try again later"


async def test_a_question_that_names_no_collection_of_a_place_that_is_down_is_complete(
    tmp_path: Path, tiny: Path
) -> None:
    build(tmp_path, tiny, "one", 40)
    build(tmp_path / "b", tiny, "two", 12)
    stores = [FaissFolder("one"), Remote("two", place="http://a", is_down=True)]
    dense = DenseRetriever(encoder=encoder(tiny), collections=stores)
    assert len(await dense.retrieve(Query("서울의 다리", KO, collections=("one",)), 10)) == 10


async def test_where_all_places_are_down_the_stage_is_unavailable(tmp_path: Path, tiny: Path) -> None:
    build(tmp_path, tiny, "one")
    stores = [Remote("one", place=f"http://{name}", is_down=True) for name in "ab"]
    dense = DenseRetriever(encoder=encoder(tiny), collections=stores)
    with pytest.raises(StageUnavailable, match="is down") as error:
        await dense.retrieve(Query("서울의 다리", KO), 10)
    assert not isinstance(error.value, PartialHits)


class SlowToRead(FaissFolder):
    """A store whose index is read ahead when `go_on` is set, and has been removed by then."""

    def __init__(self, name: str, go_on: threading.Event, read: queue.Queue[str]) -> None:
        super().__init__(name)
        self._go_on, self._read = go_on, read

    def read_ahead(self) -> int:
        self._go_on.wait()
        self._read.put(self.name)
        raise CollectionError(f"index '{self.name}' is gone")


async def test_start_reads_indexes_ahead_and_does_not_wait_for_that(tmp_path: Path, tiny: Path) -> None:
    build(tmp_path, tiny, "one", 40)
    build(tmp_path / "b", tiny, "two", 12)
    go_on, read = threading.Event(), queue.Queue[str]()
    stores = [SlowToRead(name, go_on, read) for name in ("one", "two")]
    both = DenseRetriever(encoder=encoder(tiny), collections=stores)
    await both.start()
    assert await both.retrieve(Query("서울의 다리", KO), 10)
    go_on.set()
    assert [read.get(timeout=10), read.get(timeout=10)] == ["one", "two"]
