"""Late interaction, against vectors computed token by token with transformers, and against the library."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from qttrag.errors import ConfigError
from qttrag.rerankers.multi_vector import MultiVectorReranker
from qttrag.trace import Trace
from qttrag.types import Hit, Lang, Passage, Query
from tests import tiny_m3, tiny_multi_vector
from tests.texts import LANGS, paragraph, sentences

QUERY = Query("다리는 언제 개통되었는가?", Lang("ko"))
HITS = [
    Hit(Passage(f"p{n:02d}", text, Lang("en"), "T"), 0.0)
    for n, text in enumerate(text for lang in LANGS for text in sentences(lang, 5))
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_multi_vector.make(tmp_path_factory.mktemp("models") / "multi-vector")


def token_vectors(folder: Path, text: str) -> Any:
    """Return the unit vectors of all tokens but the first, shape (tokens - 1, 32), as BGE-M3 defines them."""
    from transformers import AutoModel, AutoTokenizer

    head = load_file(next(folder.glob("*Dense*/model.safetensors")))
    inputs = AutoTokenizer.from_pretrained(folder)(text, return_tensors="pt")
    with torch.inference_mode():
        hidden = AutoModel.from_pretrained(folder).eval()(**inputs).last_hidden_state[0, 1:]
        return torch.nn.functional.normalize(hidden @ head["linear.weight"].T + head["linear.bias"], dim=-1)


async def test_scores_are_the_mean_of_each_query_tokens_best_cosine(folder: Path) -> None:
    asked = token_vectors(folder, QUERY.text)
    ranked = await MultiVectorReranker(str(folder), device="cpu").rerank(QUERY, HITS)
    for hit in ranked[::4]:
        best = (asked @ token_vectors(folder, hit.passage.content).T).max(dim=1).values
        assert hit.score == pytest.approx(float(best.mean()), abs=1e-5)
    assert len({round(hit.score, 4) for hit in ranked}) > 10


async def test_scores_are_the_librarys_own(folder: Path) -> None:
    from sentence_transformers import MultiVectorEncoder

    encoder: Any = MultiVectorEncoder(str(folder), device="cpu", local_files_only=True)
    passages = encoder.encode_document([hit.passage.content for hit in HITS])
    (expected,) = encoder.similarity(encoder.encode_query([QUERY.text]), passages)
    by_id = {hit.passage.passage_id: float(score) for hit, score in zip(HITS, expected, strict=True)}
    for hit in await MultiVectorReranker(str(folder), device="cpu").rerank(QUERY, HITS):
        assert hit.score == pytest.approx(by_id[hit.passage.passage_id], abs=1e-5)


async def test_questions_in_one_batch_have_the_scores_of_each_alone(folder: Path) -> None:
    reranker = MultiVectorReranker(str(folder), device="cpu")
    queries = [Query(text, Lang("fi")) for text in sentences("fi", 6)]
    together = await asyncio.gather(*(reranker.rerank(query, HITS) for query in queries))
    for query, ranked in zip(queries, together, strict=True):
        alone = await reranker.rerank(query, HITS)
        assert [hit.score for hit in ranked] == pytest.approx([hit.score for hit in alone], abs=1e-5)


async def test_a_passage_is_cut_to_the_setting(folder: Path) -> None:
    reranker = MultiVectorReranker(str(folder), device="cpu", max_tokens=16)
    long = [Hit(Passage(f"p{n}", f"{paragraph('en', 4)} {end}", Lang("en")), 0.0) for n, end in enumerate("ab")]
    trace = Trace()
    with trace.stage("rerank"):
        first, second = await reranker.rerank(QUERY, long)
    assert first.score == second.score
    assert trace.counts["rerank.truncated"] == 2


@pytest.mark.parametrize("name", ["encoder", "reranker", "llama"])
async def test_a_model_without_token_vectors_is_refused(tiny: Path, name: str) -> None:
    with pytest.raises(ConfigError, match=rf"{name} holds .*not a multi-vector model"):
        await MultiVectorReranker(str(tiny / name), device="cpu").start()


async def test_an_encoder_with_vectors_of_tokens_is_shared_with_the_retriever(tmp_path: Path) -> None:
    from qttrag.encoders.sentence_transformers import SentenceTransformersKind

    folder = tiny_m3.make(tmp_path / "m3")
    kind = SentenceTransformersKind(str(folder), device="cpu")
    encoder: Any = kind.load()
    encoder.encode([QUERY.text])  # as the retriever does
    asked, *passages = encoder.passage_token_vectors([QUERY.text, *(hit.passage.content for hit in HITS)])
    texts = dict(zip([hit.passage.passage_id for hit in HITS], passages, strict=True))
    passes: list[int] = []
    encoder._encoder._model._model.register_forward_hook(lambda *_: passes.append(1))
    ranked = await MultiVectorReranker(encoder=kind).rerank(QUERY, HITS)
    for hit in ranked:
        expected = float((asked @ texts[hit.passage.passage_id].T).max(axis=1).mean())
        assert hit.score == pytest.approx(expected, abs=1e-5)
    assert passes == [1]  # of all passages; the question had its own before


@pytest.mark.parametrize("name", ["model", "encoder"])
def test_a_model_and_an_encoder_are_not_given_together(folder: Path, name: str) -> None:
    from qttrag.encoders.sentence_transformers import SentenceTransformersKind

    both: dict[str, Any] = {"model": str(folder), "encoder": SentenceTransformersKind(str(folder))}
    MultiVectorReranker(**{name: both[name]})
    with pytest.raises(ConfigError, match="either `model:` or `encoder:`"):
        MultiVectorReranker(**both)
