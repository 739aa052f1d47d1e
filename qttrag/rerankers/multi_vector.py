"""Rerankers with a vector for each token (ColBERT), in this process, by sentence-transformers."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

from qttrag import trace
from qttrag.encoders import m3_encoder
from qttrag.encoders.m3_encoder import M3Encoder
from qttrag.errors import ConfigError
from qttrag.models import devices
from qttrag.models.loading import Lazy, failed, locate, quiet
from qttrag.protocols import Encoder
from qttrag.rerankers.by_score import by_score
from qttrag.runtime.batching import Batcher
from qttrag.types import Hit, Query

_STAGE = "reranker"


class _Pair(NamedTuple):
    query: str
    passage: str
    tokens: int


class _Loaded(NamedTuple):
    lengths: Callable[[Sequence[str]], list[int]]  # in tokens; by a tokenizer of its own: one keeps its last truncation
    longest: int  # tokens of a passage that are read
    batcher: Batcher[_Pair, float]


class MultiVectorReranker:
    """Reranker kind `multi_vector`: late interaction. Question and passage are encoded apart, each token to a vector;
    the score is the sum, over the tokens of the question, of the best cosine with a token of the passage (MaxSim), or
    their mean where the model's files say so.

    `model`: a folder or hub name of a multi-vector encoder of sentence-transformers, or in the forms of PyLate and
    ColBERT that it reads. `encoder`, in place of `model`: an encoder with vectors of tokens beside its own (BGE-M3); if
    its settings are those of the retriever's, both are one model, and the question is not encoded again. The score is
    then the mean. `max_tokens`: of a passage, at most what the model's files say; null: as they say; with an `encoder`,
    its own counts. `batch_tokens`: tokens in a batch, padding included."""

    def __init__(
        self,
        model: str | None = None,
        *,
        encoder: Encoder | None = None,
        revision: str | None = None,
        device: str = "auto",
        dtype: Literal["auto", "float32", "float16", "bfloat16"] = "auto",
        max_tokens: int | None = None,
        batch_tokens: int = 16_384,
    ) -> None:
        if max_tokens is not None and max_tokens < 8:
            raise ConfigError(f"reranker kind 'multi_vector': `max_tokens: {max_tokens}`: at least 8, or null")
        if (model is None) == (encoder is None):
            raise ConfigError("reranker kind 'multi_vector': give either `model:` or `encoder:`")
        if encoder is not None and max_tokens is not None:
            raise ConfigError(f"reranker kind 'multi_vector': `max_tokens: {max_tokens}`: set it in `encoder:`")
        self._model = model
        self._encoder = encoder
        self._revision = revision
        self._device = device
        self._dtype = dtype
        self._max_tokens = max_tokens
        self._batch_tokens = batch_tokens
        self._lazy = Lazy(self._load)

    async def start(self) -> None:
        await self._lazy.get()

    async def rerank(self, query: Query, hits: Sequence[Hit]) -> list[Hit]:
        async def score(contents: list[str]) -> list[float]:
            lengths_of, longest, batcher = await self._lazy.get()
            lengths = lengths_of(contents)
            trace.count("truncated", sum(length > longest for length in lengths))
            return await batcher.map(
                [
                    _Pair(query.text, content, min(length, longest))
                    for content, length in zip(contents, lengths, strict=True)
                ]
            )

        return await by_score(hits, score, model=self._model or "the encoder")

    def _load(self) -> _Loaded:
        if self._encoder is not None:
            return self._load_shared(self._encoder)
        located = locate(_STAGE, str(self._model), revision=self._revision, model_types=())
        _check(located.path)
        from sentence_transformers import MultiVectorEncoder

        quiet()
        device = devices.pick(self._device)
        dtype = ("float32" if device == "cpu" else "float16") if self._dtype == "auto" else self._dtype
        try:
            encoder: Any = MultiVectorEncoder(
                str(located.path),
                device=device,
                local_files_only=True,
                model_kwargs={"use_safetensors": True, "dtype": dtype},
            )
        except Exception as error:
            raise ConfigError(f"{_STAGE}: {located.path} cannot be loaded as a multi-vector model: {error}") from error
        encoder.eval()
        own = encoder[0].document_length or encoder.max_seq_length
        longest = own if self._max_tokens is None else min(own, self._max_tokens)
        encoder[0].document_length = longest
        batcher: Batcher[_Pair, float] = Batcher(
            lambda pairs: _scores(encoder, pairs),
            executor=devices.executor(device),
            length=lambda pair: pair.tokens,
            max_length=self._batch_tokens,
            max_items=256,
        )
        tokenizer = copy.deepcopy(encoder.tokenizer)
        return _Loaded(lambda texts: _lengths(tokenizer, texts), longest, batcher)

    def _load_shared(self, kind: Encoder) -> _Loaded:
        loaded = kind.load()
        encoder = m3_encoder.require(loaded, loaded.info.model, "colbert_linear")
        batcher: Batcher[_Pair, float] = Batcher(
            lambda pairs: _shared_scores(encoder, pairs),
            executor=devices.executor(encoder.device),
            length=lambda pair: pair.tokens,
            max_length=self._batch_tokens,
            max_items=256,
        )
        return _Loaded(encoder.lengths, encoder.max_tokens, batcher)


def _lengths(tokenizer: Any, texts: Sequence[str]) -> list[int]:
    return [len(ids) for ids in tokenizer(texts, truncation=False, verbose=False)["input_ids"]]


def _shared_scores(encoder: M3Encoder, pairs: Sequence[_Pair]) -> list[float]:
    """Return the score of each pair: the mean, over the tokens of the question, of the best cosine (BGE-M3)."""
    asked = encoder.question_token_vectors([pair.query for pair in pairs])
    passages = encoder.passage_token_vectors([pair.passage for pair in pairs])
    return [float((q @ p.T).max(axis=1).mean()) for q, p in zip(asked, passages, strict=True)]


def _scores(encoder: Any, pairs: Sequence[_Pair]) -> list[float]:
    """Return the score of each pair; questions that several pairs share are encoded once."""
    questions = list(dict.fromkeys(pair.query for pair in pairs))
    try:
        asked = encoder.encode_query(questions, batch_size=len(questions), show_progress_bar=False)
        passages = encoder.encode_document(
            [pair.passage for pair in pairs], batch_size=len(pairs), show_progress_bar=False
        )
        vectors = dict(zip(questions, asked, strict=True))
        scores = encoder.similarity_pairwise([vectors[pair.query] for pair in pairs], passages)
    except Exception as error:
        raise failed(_STAGE, error) from error
    return [float(score) for score in scores]


def _check(path: Path) -> None:
    """Refuse a folder without a trained projection: the library would make one with random weights."""
    config = json.loads((path / "config.json").read_text(encoding="utf-8"))
    architectures = config.get("architectures") or []
    modules = path / "modules.json"
    has_projection = modules.is_file() and ("MultiVectorMask" in (text := modules.read_text()) or "pylate" in text)
    if not (has_projection or "HF_ColBERT" in architectures):
        raise ConfigError(
            f"{_STAGE}: {path} holds {', '.join(architectures) or 'no named architecture'}, not a multi-vector model; "
            "set `model:` to one, or save yours with MultiVectorEncoder.save"
        )
