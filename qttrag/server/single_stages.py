"""What the routes of single stages do: a checked body in, the body of the response out. MCP's tools do the same."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from qttrag.application.serialization import passages_as_dicts, verdict_as_dict
from qttrag.pipeline.language_support import report_unsupported, score_supported
from qttrag.server import schemas
from qttrag.server.errors import RequestRejected, request_id
from qttrag.server.service import Service, limits_of
from qttrag.text.languages import language
from qttrag.types import UNSUPPORTED, Hit, Lang, Passage, Query


async def retrieve(service: Service, body: schemas.RetrieveRequest) -> dict[str, Any]:
    """Return the passages that would be read for an answer, retrieved and reranked."""
    application = service.application
    collections = application.check_collections(body.collections)
    limits = limits_of(service, body.depth, body.top_k)
    async with service.working() as trace:
        text = application.check_question(body.question)
        lang = await application.language_of(text, body.lang)
        query = Query(text, lang, collections=collections)
        passages = await application.stages_for(trace, limits=limits).search(query)
    return {"lang": lang, "passages": passages_as_dicts(passages), "trace": trace.as_dict()}


async def translate(service: Service, body: schemas.TranslateRequest) -> dict[str, Any]:
    """Return the translation of each text."""
    check_texts(service, body.texts)
    target = language(body.target).code
    translator = service.application.stages.translator
    if translator is None:
        raise lacking("translator")
    async with service.working() as trace:
        with trace.stage("translate"):
            sources = await _sources(service, body.texts, body.source)
            translations = await translator.translate(body.texts, sources, target)
            pairs = list(zip(translations, sources, strict=True))
            unsupported = [lang for t, lang in pairs if UNSUPPORTED in t.flags]
            report_unsupported(unsupported, target, effect="texts are returned unchanged")
    outputs = [{"text": t.text, "source": lang, "flags": list(t.flags)} for t, lang in pairs]
    return {"translations": outputs, "trace": trace.as_dict()}


async def tag(service: Service, body: schemas.TagRequest) -> dict[str, Any]:
    """Return a verdict on each translation."""
    originals, translations = [pair.original for pair in body.pairs], [pair.translation for pair in body.pairs]
    check_texts(service, [*originals, *translations], pairs=True)
    target = language(body.target).code
    tagger = service.application.stages.tagger
    if tagger is None:
        raise lacking("tagger")
    async with service.working() as trace:
        with trace.stage("tag"):
            sources = await _sources(service, originals, body.source)
            verdicts = await score_supported(tagger, originals, translations, sources, target)
    return {"verdicts": [verdict_as_dict(verdict) for verdict in verdicts], "trace": trace.as_dict()}


async def rerank(service: Service, body: schemas.RerankRequest) -> dict[str, Any]:
    """Return the documents by their relevance."""
    texts = [document if isinstance(document, str) else document.get("text", "") for document in body.documents]
    check_texts(service, [body.query, *texts], most=service.settings.max_depth + 1)
    async with service.working():
        lang = Lang("und")
        hits = [Hit(Passage(str(n), text, lang), 0.0) for n, text in enumerate(texts)]
        ranked = await service.application.stages.reranker.rerank(Query(body.query, lang), hits)
    results = [
        {
            "index": int(hit.passage.passage_id),
            "relevance_score": hit.score,
            "document": {"text": hit.passage.text} if body.return_documents else None,
        }
        for hit in ranked[: body.top_n]
    ]
    return {"id": request_id(), "model": body.model or "qttrag", "results": results}


def lacking(stage: str) -> RequestRejected:
    """Return the error of a request for a stage that the deployment does not have."""
    return RequestRejected(422, "invalid_value", f"this service has no {stage}")


async def _sources(service: Service, texts: Sequence[str], given: str | None) -> list[Lang]:
    if given is not None:
        return [language(given).code] * len(texts)
    return await service.application.detector.detect(texts)


def check_texts(service: Service, texts: Sequence[str], *, pairs: bool = False, most: int | None = None) -> None:
    """Check the number and the lengths of texts. `most`: of texts, if it is not that of the settings.

    Raises:
        RequestRejected: there are too many, or one is too long."""
    settings = service.settings
    most = most or settings.max_texts * (2 if pairs else 1)
    if len(texts) > most:
        raise RequestRejected(422, "too_many", f"{len(texts)} texts exceed the limit of {most}")
    if too_long := [n for n, text in enumerate(texts) if len(text) > settings.max_text_chars]:
        raise RequestRejected(
            422, "too_long", f"text {too_long[0]} exceeds the limit of {settings.max_text_chars} characters"
        )
