"""Reranking with a cross-encoder, and with none."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest

from qttrag.errors import ConfigError, StageError
from qttrag.rerankers.cross_encoder import CrossEncoderReranker
from qttrag.rerankers.none import NoReranker
from qttrag.trace import Trace
from qttrag.types import Hit, Lang, Passage, Query
from tests.texts import paragraph, sentences

QUERY = Query("다리는 언제 개통되었는가?", Lang("ko"))
HITS = [
    Hit(Passage(f"p{n:02d}", text, Lang("en"), "T"), 1 / (n + 1))
    for n, text in enumerate([*sentences("en", 12), *sentences("ko", 12)])
]


@pytest.fixture(scope="module")
def reranker(tiny: Path) -> CrossEncoderReranker:
    return CrossEncoderReranker(str(tiny / "reranker"), device="cpu", batch_tokens=256)


async def test_scores_are_those_of_the_model_for_each_pair(reranker: CrossEncoderReranker, tiny: Path) -> None:
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny / "reranker")
    model = AutoModelForSequenceClassification.from_pretrained(tiny / "reranker").eval()
    for hit in (await reranker.rerank(QUERY, HITS))[:5]:
        inputs = tokenizer(QUERY.text, hit.passage.content, return_tensors="pt")
        with torch.inference_mode():
            assert hit.score == pytest.approx(float(model(**inputs).logits[0, 0]), abs=1e-4)


async def test_all_hits_come_back_best_first(reranker: CrossEncoderReranker) -> None:
    ranked = await reranker.rerank(QUERY, HITS)
    assert {hit.passage for hit in ranked} == {hit.passage for hit in HITS}
    assert ranked == sorted(ranked, key=lambda hit: (-hit.score, hit.passage.passage_id))


async def test_the_order_of_the_hits_does_not_matter(reranker: CrossEncoderReranker) -> None:
    forwards, backwards = await asyncio.gather(reranker.rerank(QUERY, HITS), reranker.rerank(QUERY, HITS[::-1]))
    assert [hit.passage for hit in forwards] == [hit.passage for hit in backwards]


async def test_equal_passages_are_ordered_by_id(reranker: CrossEncoderReranker) -> None:
    same = [Hit(Passage(name, "The same text.", Lang("en")), 0.0) for name in ("c", "a", "b")]
    assert [hit.passage.passage_id for hit in await reranker.rerank(QUERY, same)] == ["a", "b", "c"]


async def test_truncated_passages_are_counted(reranker: CrossEncoderReranker) -> None:
    trace = Trace()
    long = Hit(Passage("x", paragraph("en", 40), Lang("en")), 0.0)
    with trace.stage("rerank"):
        await reranker.rerank(QUERY, [long, HITS[0]])
    assert trace.counts["rerank.truncated"] == 1


async def test_no_hits_give_no_hits(reranker: CrossEncoderReranker) -> None:
    assert await reranker.rerank(QUERY, []) == []


async def test_the_reranker_none_keeps_order_and_scores() -> None:
    assert await NoReranker().rerank(QUERY, HITS) == HITS


@pytest.mark.parametrize("folder", ["llama", "encoder"])
async def test_a_folder_without_a_reranker_is_refused(tiny: Path, folder: str) -> None:
    with pytest.raises(ConfigError, match=rf"{folder} holds .*not a sequence classification model with one"):
        await CrossEncoderReranker(str(tiny / folder), device="cpu").start()


async def test_a_score_that_is_not_a_number_is_an_error(tiny: Path, tmp_path: Path) -> None:
    from safetensors.numpy import load_file, save_file

    broken = tmp_path / "broken"
    shutil.copytree(tiny / "reranker", broken)
    weights = load_file(broken / "model.safetensors")
    weights["classifier.out_proj.bias"] *= float("nan")
    save_file(weights, broken / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(StageError, match="not a number"):
        await CrossEncoderReranker(str(broken), device="cpu").rerank(QUERY, HITS)


async def test_an_invalid_config_file_is_named(tiny: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(tiny / "reranker", broken)
    (broken / "config.json").write_text("{")
    with pytest.raises(ConfigError, match=r"config\.json cannot be read"):
        await CrossEncoderReranker(str(broken), device="cpu").start()


async def test_questions_that_arrive_while_the_model_works_change_no_scores(reranker: CrossEncoderReranker) -> None:
    """Lengths are counted without truncation in one thread while pairs are cut to `max_tokens` in another."""
    hits = [Hit(Passage(f"p{n}", paragraph("en", 12, seed=n), Lang("en")), 0.0) for n in range(16)]

    async def later(n: int) -> list[Hit]:
        await asyncio.sleep(0.002 * n)
        return await reranker.rerank(QUERY, hits)

    alone = await reranker.rerank(QUERY, hits)
    for ranked in await asyncio.gather(*(later(n) for n in range(60))):
        assert [hit.passage for hit in ranked] == [hit.passage for hit in alone]
        assert [hit.score for hit in ranked] == pytest.approx([hit.score for hit in alone], abs=1e-4)
