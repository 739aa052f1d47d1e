"""Lexical retrieval, and hybrid retrieval by reciprocal rank fusion."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from qttrag.retrievers.bm25 import BM25Retriever, tokenise
from qttrag.retrievers.hybrid import HybridRetriever
from qttrag.testing import FakeRetriever
from qttrag.types import Lang, Passage, Query
from tests import deployment


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("The old Bridge, 1903!", ["the", "old", "bridge", "1903"]),
        ("北京大学", ["北京", "京大", "大学"]),
        ("서울의 다리", ["서울", "울의", "다리"]),
        ("東京タワー", ["東京", "京タ", "タワ", "ワー"]),
        ("iPhone을 샀다", ["iphone", "을", "샀다"]),
        ("Äiti söi 3 puuroa", ["äiti", "söi", "3", "puuroa"]),
        ("हिन्दी में", ["हिन्दी", "में"]),
        ("বাংলা ভাষা", ["বাংলা", "ভাষা"]),
        ("தமிழ் மொழி", ["தமிழ்", "மொழி"]),
        ("A\u0308iti ＡＢＣ ｶﾞｽ", ["äiti", "abc", "ガス"]),
        ("❤\ufe0f", []),
        ("", []),
        ("!?", []),
    ],
)
def test_terms_are_words_or_bigrams_depending_on_the_script(text: str, terms: list[str]) -> None:
    assert tokenise(text) == terms


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("Ｎｏｋｉａ ３３１０", "nokia 3310"),
        ("İSTANBUL ISPARTA", "istanbul ısparta"),
        ("Donau\u00addampf\u200bschiff", "donaudampfschiff"),
        ("الْمَدِينَــةُ ١٩٠٣", "المدينة 1903"),
        ("ﺍﻟﻤﺪﻳﻨﺔ", "المدينة"),
        ("१९०३ में", "1903 में"),
        ("๒๕๖๓", "2563"),
        ("𝐇𝐞𝐥𝐬𝐢𝐧𝐤𝐢", "helsinki"),
        ("می‌خواهم", "میخواهم"),
    ],
)
def test_spellings_of_a_word_are_one_term(text: str, same: str) -> None:
    assert tokenise(text) == tokenise(same) == same.replace("ı", "i").split()


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
            from qttrag.types import Hit

            return [Hit(p, -n) for n, p in enumerate(self.passages)][:k]

    a, b, c = map(passage, "abc")
    hybrid = HybridRetriever(first=Fixed([b, a]), second=Fixed([a, b, c]), rrf_k=60)
    hits = await hybrid.retrieve(Query("q", Lang("en")), 3)
    assert [hit.passage.passage_id for hit in hits] == ["a", "b", "c"]
    assert hits[0].score == hits[1].score == 1 / 61 + 1 / 62
    assert hits[2].score == 1 / 63


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
