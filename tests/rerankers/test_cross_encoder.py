"""Reranking with a cross-encoder, and with none."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path
from typing import Any

import pytest

from qttrag.errors import ConfigError, StageError
from qttrag.models.loading import locate
from qttrag.rerankers.cross_encoder import CrossEncoderReranker
from qttrag.rerankers.int8 import Int8CrossEncoder
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
    return CrossEncoderReranker(str(tiny / "reranker"), device="cpu", dtype="float32", batch_tokens=256)


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


def make_bert(folder: Path, tokens: Path) -> Path:
    """Build a BERT cross-encoder, which knows the question from the passage by the types of tokens."""
    import torch
    from transformers import AutoTokenizer, BertConfig, BertForSequenceClassification

    tokenizer = AutoTokenizer.from_pretrained(tokens)
    tokenizer.model_input_names = ["input_ids", "token_type_ids", "attention_mask"]
    torch.manual_seed(2)
    configure: Any = BertConfig  # not all of its settings are typed
    config = configure(
        vocab_size=len(tokenizer), hidden_size=64, num_hidden_layers=2, num_attention_heads=2, intermediate_size=128,
        max_position_embeddings=512, pad_token_id=1, initializer_range=0.4, num_labels=1,
    )  # fmt: skip
    BertForSequenceClassification(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.mark.parametrize("name", ["xlm-r", "bert"])
def test_scores_on_ctranslate2_in_float32_are_those_of_sentence_transformers(
    tiny: Path, tmp_path: Path, name: str
) -> None:
    from sentence_transformers import CrossEncoder
    from torch.nn import Identity

    folder = tiny / "reranker" if name == "xlm-r" else make_bert(tmp_path / "bert", tiny / "reranker")
    library = CrossEncoder(str(folder), device="cpu", max_length=32, activation_fn=Identity(), local_files_only=True)
    located = locate("reranker", str(folder), revision=None, model_types=())
    pairs = [(QUERY.text, hit.passage.content) for hit in HITS]
    own = Int8CrossEncoder(located, max_tokens=32, compute_type="float32").scores(pairs)
    assert own == pytest.approx(library.predict(pairs).tolist(), abs=1e-4)


async def test_the_processor_works_in_int8_by_default(tiny: Path, reranker: CrossEncoderReranker) -> None:
    auto, int8 = (CrossEncoderReranker(str(tiny / "reranker"), device="cpu", dtype=d) for d in ("auto", "int8"))
    scores = [{h.passage.passage_id: h.score for h in await r.rerank(QUERY, HITS)} for r in (auto, int8, reranker)]
    assert scores[0] == pytest.approx(scores[1], abs=1e-6)
    assert scores[0] != scores[2]


async def test_a_model_of_another_architecture_runs_in_torch(tiny: Path, tmp_path: Path) -> None:
    import torch
    from transformers import AutoTokenizer, ModernBertConfig, ModernBertForSequenceClassification

    tokenizer = AutoTokenizer.from_pretrained(tiny / "reranker")
    configure: Any = ModernBertConfig
    config = configure(
        vocab_size=len(tokenizer), hidden_size=32, intermediate_size=48, num_hidden_layers=1, num_attention_heads=2,
        pad_token_id=1, num_labels=1,
    )  # fmt: skip
    torch.manual_seed(0)
    ModernBertForSequenceClassification(config).save_pretrained(tmp_path / "other")
    tokenizer.save_pretrained(tmp_path / "other")
    assert len(await CrossEncoderReranker(str(tmp_path / "other"), device="cpu").rerank(QUERY, HITS)) == len(HITS)
    with pytest.raises(ConfigError, match=r"cannot run in int8: a 'modernbert' model is none of .*set `dtype: auto`"):
        await CrossEncoderReranker(str(tmp_path / "other"), device="cpu", dtype="int8").start()


async def test_int8_on_a_gpu_is_refused(tiny: Path) -> None:
    with pytest.raises(ConfigError, match=r"int8 needs `device: cpu`, not 'cuda'"):
        await CrossEncoderReranker(str(tiny / "reranker"), device="cuda", dtype="int8").start()
