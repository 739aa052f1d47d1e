"""Lexical retrieval, and hybrid retrieval by reciprocal rank fusion."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from qttrag.errors import PartialHits, StageUnavailable
from qttrag.indexes.jobs.remove import remove
from qttrag.retrievers.bm25 import BM25Retriever
from qttrag.retrievers.hybrid import HybridRetriever
from qttrag.testing import FakeRetriever, FakeTranslator
from qttrag.trace import Trace
from qttrag.types import Hit, Lang, Passage, Query, Translation
from tests import deployment


@pytest.fixture
def bm25(tmp_path: Path, tiny: Path) -> BM25Retriever:
    deployment.build(tmp_path, tiny)
    return BM25Retriever(collections=["mixed"])


async def test_a_question_in_another_spelling_has_the_same_hits(bm25: BM25Retriever) -> None:
    hits = await bm25.retrieve(Query("KIRJ\u00adASTO Ｔｕｒｋｕ", Lang("fi")), 5)
    assert hits == await bm25.retrieve(Query("kirjasto turku", Lang("fi")), 5)


async def test_a_passage_with_the_rare_word_comes_first(bm25: BM25Retriever) -> None:
    hits = await bm25.retrieve(Query("kirjasto Turku", Lang("fi")), 5)
    assert "kirjasto" in hits[0].passage.text
    assert hits == sorted(hits, key=lambda hit: (-hit.score, hit.passage.passage_id))


async def test_a_korean_word_is_found_under_another_particle(bm25: BM25Retriever) -> None:
    hits = await bm25.retrieve(Query("도서관은", Lang("ko")), 5)
    assert "도서관" in hits[0].passage.text


async def test_a_question_without_known_terms_has_no_hits(bm25: BM25Retriever) -> None:
    assert await bm25.retrieve(Query("xyzzy", Lang("en")), 5) == []


async def test_a_changed_collection_is_searched_as_it_is_now(bm25: BM25Retriever) -> None:
    (first, *_) = await bm25.retrieve(Query("kirjasto Turku", Lang("fi")), 5)
    remove("mixed", {first.passage.passage_id})
    trace = Trace()
    with trace.stage("retrieve"):
        hits = await bm25.retrieve(Query("kirjasto Turku", Lang("fi")), 5)
    assert first.passage.passage_id not in {hit.passage.passage_id for hit in hits}
    assert not trace.notes


async def test_a_question_that_cannot_wait_is_searched_in_the_earlier_version_with_a_note(
    tmp_path: Path, tiny: Path
) -> None:
    deployment.build(tmp_path, tiny)
    bm25 = BM25Retriever(collections=["mixed"], wait_s=0)
    query = Query("kirjasto Turku", Lang("fi"))
    hits = await bm25.retrieve(query, 5)
    remove("mixed", {hits[0].passage.passage_id})
    trace = Trace()
    with trace.stage("retrieve"):
        assert await bm25.retrieve(query, 5) == hits
    assert trace.counts["retrieve.searches_of_an_earlier_version"] == 1
    assert trace.notes == ["passages are searched by words as they were before the last change of a collection"]


async def test_bm25_searches_only_the_languages_of_the_settings(tmp_path: Path, tiny: Path) -> None:
    deployment.build(tmp_path, tiny)
    made = BM25Retriever(collections=["mixed"], languages=["query"])
    hits = await made.retrieve(Query("Turku Helsinki Busan 1903 1917", Lang("fi")), 40)
    assert {hit.passage.lang for hit in hits} == {"fi"}


async def test_bm25_searches_only_the_collections_that_a_question_names(tmp_path: Path, tiny: Path) -> None:
    deployment.build(tmp_path, tiny, n=40)
    deployment.build(tmp_path, tiny, n=12, name="few")
    made = BM25Retriever(collections=["mixed", "few"])
    query = Query("Turku Helsinki Busan 1903 1917", Lang("en"))
    few = await made.retrieve(replace(query, collections=("few",)), 100)
    mixed = await made.retrieve(replace(query, collections=("mixed",)), 100)
    assert few
    assert all(int(hit.passage.passage_id.split("-")[1].split("#")[0]) < 12 for hit in few)
    assert len(await made.retrieve(query, 100)) == len(few) + len(mixed)


def passage(name: str) -> Passage:
    return Passage(name, name, Lang("en"))


async def test_fusion_sums_reciprocal_ranks_and_breaks_ties_by_id() -> None:
    class Fixed(FakeRetriever):
        async def retrieve(self, query: Query, k: int):  # type: ignore[no-untyped-def]
            return [Hit(p, -n) for n, p in enumerate(self.passages)][:k]

    a, b, c = map(passage, "abc")
    hybrid = HybridRetriever(first=Fixed([b, a]), second=Fixed([a, b, c]), rrf_k=60)
    hits = await hybrid.retrieve(Query("q", Lang("en")), 3)
    assert [hit.passage.passage_id for hit in hits] == ["a", "b", "c"]
    assert hits[0].score == hits[1].score == 1 / 61 + 1 / 62
    assert hits[2].score == 1 / 63


async def test_partial_hits_of_one_retriever_are_fused_and_stay_partial() -> None:
    class Partial(FakeRetriever):
        async def retrieve(self, query: Query, k: int) -> list[Hit]:
            raise PartialHits(StageUnavailable("retriever", "http://a is down"), await super().retrieve(query, k))

    a, b = passage("a"), passage("b")
    hybrid = HybridRetriever(first=Partial([a]), second=FakeRetriever([b]))
    with pytest.raises(PartialHits, match=r"^retriever: http://a is down$") as partial:
        await hybrid.retrieve(Query("q", Lang("en")), 3)
    assert [hit.passage for hit in partial.value.hits] == [a, b]


async def test_a_dense_and_a_lexical_retriever_are_fused(tmp_path: Path, tiny: Path) -> None:
    from qttrag.encoders.sentence_transformers import SentenceTransformersKind
    from qttrag.retrievers.dense import DenseRetriever

    deployment.build(tmp_path, tiny)
    encoder = SentenceTransformersKind(str(tiny / "encoder"), device="cpu")
    dense = DenseRetriever(encoder=encoder, collections=["mixed"])
    lexical = BM25Retriever(collections=["mixed"])
    query = Query("kirjasto Turku", Lang("fi"))
    fused = await HybridRetriever(first=dense, second=lexical).retrieve(query, 10)
    found = {hit.passage for r in (dense, lexical) for hit in await r.retrieve(query, 10)}
    assert len(fused) == 10
    assert {hit.passage for hit in fused} <= found


def test_collections_of_two_retrievers_can_be_chosen_if_both_support_it() -> None:
    first, second = BM25Retriever(collections=["a", "b"]), BM25Retriever(collections=["b", "c"])
    assert HybridRetriever(first=first, second=second).collections == ["a", "b", "c"]
    assert HybridRetriever(first=first, second=FakeRetriever([])).collections == []


class Dictionary(FakeTranslator):
    """Translates by a table; other texts raise, as a translator does that is down."""

    def __init__(self, table: dict[str, str]) -> None:
        super().__init__()
        self.table = table

    async def translate(self, texts: Sequence[str], source: Sequence[Lang], target: Lang) -> list[Translation]:
        self.seen += [target]
        if target not in self.table:
            raise StageUnavailable("translator", "the server is down")
        return [Translation(self.table[target]) for _ in texts]


LIBRARY = {"fi": "kirjasto Turku", "en": "library Turku", "zh": "图书馆 图尔库"}


def ids(hits: Sequence[Hit]) -> list[str]:
    return [hit.passage.passage_id for hit in hits]


async def test_each_language_is_asked_with_its_own_question_and_the_rankings_are_fused(
    tmp_path: Path, tiny: Path
) -> None:
    deployment.build(tmp_path, tiny)
    translator = Dictionary(LIBRARY)
    question = Query("투르쿠 도서관", Lang("ko"))
    hits = await BM25Retriever(collections=["mixed"], translator=translator).retrieve(question, 40)
    assert sorted(translator.seen) == ["en", "fi", "zh"]
    for lang, text in {**LIBRARY, "ko": question.text}.items():
        alone = BM25Retriever(collections=["mixed"], languages=[lang])
        expected = ids(await alone.retrieve(Query(text, Lang(lang)), 40))
        assert expected
        of_language = [hit for hit in hits if hit.passage.lang == lang]
        assert ids(of_language) == expected
        assert [hit.score for hit in of_language] == [1 / (60 + rank) for rank in range(1, len(expected) + 1)]


async def test_the_trace_shows_the_question_of_each_language(tmp_path: Path, tiny: Path) -> None:
    deployment.build(tmp_path, tiny)
    trace = Trace()
    with trace.stage("retrieve"):
        retriever = BM25Retriever(collections=["mixed"], translator=Dictionary({**LIBRARY, "ko": "투르쿠 도서관"}))
        await retriever.retrieve(Query("kirjasto Turku", Lang("fi")), 5)
    assert "passages in Korean (ko) are searched by words with the question “투르쿠 도서관”" in trace.notes
    assert trace.counts["retrieve.translated_questions"] == 3
    assert not any("Finnish" in note for note in trace.notes)


async def test_a_language_whose_translation_fails_is_asked_with_the_question_as_it_is(
    tmp_path: Path, tiny: Path
) -> None:
    deployment.build(tmp_path, tiny)
    trace = Trace()
    with trace.stage("retrieve"):
        retriever = BM25Retriever(collections=["mixed"], translator=Dictionary({"ko": "도서관"}))
        hits = await retriever.retrieve(Query("Turku Helsinki Busan 1903 1917", Lang("fi")), 40)
    assert "en" in {hit.passage.lang for hit in hits}
    (degraded,) = [note for note in trace.degraded if "English" in note]
    assert "passages in English (en) are searched by words with the question untranslated" in degraded


async def test_a_pair_without_translation_is_noted(tmp_path: Path, tiny: Path) -> None:
    deployment.build(tmp_path, tiny)
    trace = Trace()
    with trace.stage("retrieve"):
        retriever = BM25Retriever(collections=["mixed"], translator=FakeTranslator(unsupported=["zh"]))
        await retriever.retrieve(Query("Turku", Lang("fi")), 5)
    assert any("Chinese (zh)" in note and "does not support" in note for note in trace.notes)
    assert trace.counts["retrieve.untranslated_questions"] == 1


async def test_the_terms_of_a_question_are_those_of_the_passages_language(tmp_path: Path, tiny: Path) -> None:
    deployment.build(tmp_path, tiny)
    retriever = BM25Retriever(collections=["mixed"], languages=["en"])
    hits = await retriever.retrieve(Query("libraries", Lang("ko")), 5)  # stems of English, whoever asks
    assert hits
    assert all("library" in hit.passage.text for hit in hits)
