"""The stages alone: `/v1/retrieve`, `/v1/translate`, `/v1/tag`, `/v1/rerank`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastapi import APIRouter, Request

from qttrag.application.serialization import passages_as_dicts, verdict_as_dict
from qttrag.pipeline.language_support import report_unsupported, score_supported
from qttrag.server import schemas
from qttrag.server.errors import STATUSES, RequestRejected, request_id
from qttrag.server.service import Service, limits_of, service_of, until_disconnected
from qttrag.text.languages import language
from qttrag.types import UNSUPPORTED, Hit, Lang, Passage, Query

router = APIRouter(prefix="/v1", responses=STATUSES)


@router.post("/retrieve", response_model=schemas.RetrieveResponse)
async def retrieve(request: Request, body: schemas.RetrieveRequest) -> Any:
    """Return the passages that would be read for an answer, retrieved and reranked."""
    service = service_of(request)
    application = service.application
    collections = application.check_collections(body.collections)
    limits = limits_of(service, body.depth, body.top_k)

    async def search() -> dict[str, Any]:
        async with service.working() as trace:
            text = application.check_question(body.question)
            lang = await application.language_of(text, body.lang)
            query = Query(text, lang, collections=collections)
            passages = await application.stages_for(trace, limits=limits).search(query)
        return {"lang": lang, "passages": passages_as_dicts(passages), "trace": trace.as_dict()}

    return await until_disconnected(request, search())


@router.post("/translate", response_model=schemas.TranslateResponse)
async def translate(request: Request, body: schemas.TranslateRequest) -> Any:
    """Translate texts, long ones sentence by sentence. Texts in unsupported languages are returned unchanged."""
    service = service_of(request)
    _check_texts(service, body.texts)
    target = language(body.target).code

    async def translate_texts() -> dict[str, Any]:
        translator = service.application.stages.translator
        if translator is None:
            raise _lacking("translator")
        async with service.working() as trace:
            with trace.stage("translate"):
                sources = await _sources(service, body.texts, body.source)
                translations = await translator.translate(body.texts, sources, target)
                pairs = list(zip(translations, sources, strict=True))
                unsupported = [lang for t, lang in pairs if UNSUPPORTED in t.flags]
                report_unsupported(unsupported, target, effect="texts are returned unchanged")
        outputs = [{"text": t.text, "source": lang, "flags": list(t.flags)} for t, lang in pairs]
        return {"translations": outputs, "trace": trace.as_dict()}

    return await until_disconnected(request, translate_texts())


@router.post("/tag", response_model=schemas.TagResponse)
async def tag(request: Request, body: schemas.TagRequest) -> Any:
    """Score translations for meaning, grammar and fluency; those of originals in an unknown language are unscored."""
    service = service_of(request)
    originals, translations = [pair.original for pair in body.pairs], [pair.translation for pair in body.pairs]
    _check_texts(service, [*originals, *translations], pairs=True)
    target = language(body.target).code

    async def score() -> dict[str, Any]:
        tagger = service.application.stages.tagger
        if tagger is None:
            raise _lacking("tagger")
        async with service.working() as trace:
            with trace.stage("tag"):
                sources = await _sources(service, originals, body.source)
                verdicts = await score_supported(tagger, originals, translations, sources, target)
        outputs = [verdict_as_dict(verdict) for verdict in verdicts]
        return {"verdicts": outputs, "trace": trace.as_dict()}

    return await until_disconnected(request, score())


@router.post("/rerank", response_model=schemas.RerankResponse, response_model_exclude_none=True)
async def rerank(request: Request, body: schemas.RerankRequest) -> Any:
    """Rank documents by relevance to the query, as Cohere's and Jina's endpoints do."""
    service = service_of(request)
    texts = [document if isinstance(document, str) else document.get("text", "") for document in body.documents]
    _check_texts(service, [body.query, *texts], most=service.settings.max_depth + 1)

    async def rank() -> dict[str, Any]:
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

    return await until_disconnected(request, rank())


def _lacking(stage: str) -> RequestRejected:
    return RequestRejected(422, "invalid_value", f"this service has no {stage}")


async def _sources(service: Service, texts: Sequence[str], given: str | None) -> list[Lang]:
    if given is not None:
        return [language(given).code] * len(texts)
    return await service.application.detector.detect(texts)


def _check_texts(service: Service, texts: Sequence[str], *, pairs: bool = False, most: int | None = None) -> None:
    settings = service.settings
    most = most or settings.max_texts * (2 if pairs else 1)
    if len(texts) > most:
        raise RequestRejected(422, "too_many", f"{len(texts)} texts exceed the limit of {most}")
    if too_long := [n for n, text in enumerate(texts) if len(text) > settings.max_text_chars]:
        raise RequestRejected(
            422, "too_long", f"text {too_long[0]} exceeds the limit of {settings.max_text_chars} characters"
        )
