"""Kinds: the names of implementations in a deployment, each imported only when it is used.

The parameters of a constructor are the settings of its kind, checked against their annotations. A parameter annotated
with a stage's Protocol takes that stage's own settings, nested, or "deployment" for the deployment's; one annotated
`Sequence[VectorStore | str]` takes a list of names and of stores' settings; one annotated `Sequence[Route]`, a
dataclass with stages in it, takes a list of such settings; one annotated `Prompts` gets the deployment's. Other
packages add kinds by entry points in the group "qttrag.<stage>", e.g. `[project.entry-points."qttrag.retriever"]
splade = "my_package:SpladeRetriever"`.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable
from importlib.metadata import entry_points
from typing import Any

from qttrag.errors import ConfigError, not_installed, unknown

KINDS: dict[str, dict[str, str]] = {
    "retriever": {
        "dense": "qttrag.retrievers.dense:DenseRetriever",
        "sparse": "qttrag.retrievers.sparse:SparseRetriever",
        "bm25": "qttrag.retrievers.bm25:BM25Retriever",
        "hybrid": "qttrag.retrievers.hybrid:HybridRetriever",
    },
    "encoder": {
        "sentence_transformers": "qttrag.encoders.sentence_transformers:SentenceTransformersKind",
        "openai": "qttrag.encoders.openai:OpenAIKind",
    },
    "store": {
        "faiss_folder": "qttrag.stores.faiss_folder:FaissFolder",
        "milvus": "qttrag.stores.milvus:milvus",
        "qdrant": "qttrag.stores.qdrant:qdrant",
    },
    "reranker": {
        "cross_encoder": "qttrag.rerankers.cross_encoder:CrossEncoderReranker",
        "causal_lm": "qttrag.rerankers.causal_lm:CausalLMReranker",
        "multi_vector": "qttrag.rerankers.multi_vector:MultiVectorReranker",
        "served": "qttrag.rerankers.served:ServedReranker",
        "listwise": "qttrag.rerankers.listwise:ListwiseReranker",
        "pairwise": "qttrag.rerankers.pairwise:PairwiseReranker",
        "none": "qttrag.rerankers.none:NoReranker",
    },
    "detector": {
        "script": "qttrag.detectors.script:ScriptDetector",
        "fasttext": "qttrag.detectors.fasttext:FastTextDetector",
        "langdetect": "qttrag.detectors.langdetect:LangdetectDetector",
    },
    "translator": {
        "nllb": "qttrag.translators.nllb:NllbTranslator",
        "nllb_transformers": "qttrag.translators.nllb:NllbTransformersTranslator",
        "m2m100": "qttrag.translators.m2m100:M2M100Translator",
        "m2m100_transformers": "qttrag.translators.m2m100:M2M100TransformersTranslator",
        "madlad": "qttrag.translators.madlad:MadladTranslator",
        "madlad_transformers": "qttrag.translators.madlad:MadladTransformersTranslator",
        "seamless_transformers": "qttrag.translators.seamless:SeamlessTransformersTranslator",
        "llm": "qttrag.translators.llm:LLMTranslator",
        "served": "qttrag.translators.served:ServedTranslator",
        "route": "qttrag.translators.route:RouteTranslator",
        "marian": "qttrag.translators.marian:MarianTranslator",
        "marian_transformers": "qttrag.translators.marian:MarianTransformersTranslator",
    },
    "tagger": {
        "llm": "qttrag.taggers.llm:LLMTagger",
        "embedding": "qttrag.taggers.embedding:EmbeddingTagger",
        "metricx": "qttrag.taggers.metricx:MetricXTagger",
    },
    "generator": {
        "openai": "qttrag.generators.openai:OpenAIGenerator",
        "llama_cpp": "qttrag.generators.llama_cpp:LlamaCppGenerator",
        "transformers": "qttrag.generators.transformers:TransformersGenerator",
    },
    "support_judge": {
        "llm": "qttrag.evaluation.judges.llm:LLMJudge",
        "nli": "qttrag.evaluation.judges.nli:NliJudge",
    },
    "strategy": {
        "base": "qttrag.strategies.base:base",
        "cross_rag": "qttrag.strategies.cross_rag:cross_rag",
        "dkm_rag": "qttrag.strategies.dkm_rag:dkm_rag",
        "hard_filter": "qttrag.strategies.hard_filter:hard_filter",
        "pivot_answer": "qttrag.strategies.pivot_answer:pivot_answer",
        "qtt_rag": "qttrag.strategies.qtt_rag:qtt_rag",
        "query_translation": "qttrag.strategies.query_translation:query_translation",
        "vote": "qttrag.strategies.vote:vote",
    },
}


@functools.cache
def kinds(stage: str) -> dict[str, str]:
    """Return "module:name" by kind: this package's kinds and those that installed packages add by entry points.

    A kind of this package cannot be replaced."""
    added = {point.name: point.value for point in entry_points(group=f"qttrag.{stage}")}
    return {**added, **KINDS[stage]}


def resolve(stage: str, kind: object) -> Callable[..., Any]:
    """Import and return the class or function of a kind.

    Raises:
        ConfigError: no such kind, or a library it needs is not installed."""
    known = kinds(stage)
    if not isinstance(kind, str) or kind not in known:
        message = unknown(f"{stage} kind" if stage != "strategy" else stage, kind, known)
        raise ConfigError(message, public=message)
    module, _, name = known[kind].partition(":")
    try:
        constructor: Callable[..., Any] = getattr(importlib.import_module(module), name)
    except ModuleNotFoundError as error:
        raise ConfigError(not_installed(f"{stage} kind '{kind}'", error)) from error
    return constructor
