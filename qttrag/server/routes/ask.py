"""`/v1/ask`, and the stages alone: `/v1/retrieve`, `/v1/translate`, `/v1/tag`, `/v1/rerank`."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import asdict, replace
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import StreamingResponse

from qttrag.application.serialization import answer_as_dict, passages_as_dicts
from qttrag.errors import ConfigError
from qttrag.server import schemas
from qttrag.server.errors import ErrorBody, Refusal
from qttrag.server.problems import problem_of
from qttrag.server.service import Service, events, first_and_rest, while_there
from qttrag.text.languages import language
from qttrag.types import Answer, AskLimits, AskRequest, Event, Hit, Lang, Passage, Query

ERRORS: dict[int | str, dict[str, Any]] = {
    code: {"model": ErrorBody, "description": description}
    for code, description in {
        400: "The body is not JSON",
        401: "No valid API key",
        413: "The body is too large",
        422: "A value that cannot be worked with",
        429: "Overloaded, or too many requests; see Retry-After",
        500: "An error that nobody foresaw",
        503: "A stage is down or not ready; named in `stage`",
        504: "Not done within the deadline; see `partial`",
    }.items()
}
STREAMED: dict[int | str, dict[str, Any]] = {200: {"content": {"text/event-stream": {}}}}
router = APIRouter(prefix="/v1", responses=ERRORS)


def service_of(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


@router.post("/ask", response_model=schemas.AskResponse, responses=STREAMED)
async def ask(request: Request, body: schemas.AskRequest) -> Any:
    """Answer a question. With `stream`: server-sent events `ranked`, `translated`, `tagged`, `refined` (passages so
    far), `piece` (text of the answer), `restarted` (forget the pieces: the answer begins anew), then `end` (all of
    it) or `error`."""
    service = service_of(request)
    asked = _request(service, body)
    request_id = request.state.request_id
    if not body.stream:
        return {**answer_as_dict(await while_there(request, service.ask(asked))), "request_id": request_id}
    first, everything = await first_and_rest(events(request, service, asked))
    if isinstance(first, Exception):
        raise first
    return StreamingResponse(
        _sent(service, everything, request_id),
        media_type="text/event-stream",
        headers={"cache-control": "no-store", "x-accel-buffering": "no"},
    )


async def _sent(
    service: Service, stream: AsyncIterator[Event | Answer | Exception], request_id: str
) -> AsyncIterator[str]:
    with service.metrics.streams.track_inprogress():
        async for item in stream:
            match item:
                case Event(kind="piece"):
                    yield sse({"text": item.text}, "piece")
                case Event(kind="restarted"):
                    yield sse({"reason": item.text}, "restarted")
                case Event():
                    yield sse({"passages": passages_as_dicts(item.passages)}, item.kind)
                case Answer():
                    yield sse({**answer_as_dict(item), "request_id": request_id}, "end")
                case _:
                    yield sse(problem_of(item, request_id).body, "error")


def sse(data: Any, event: str | None = None) -> str:
    """Return one server-sent event."""
    head = f"event: {event}\n" if event else ""
    return f"{head}data: {json.dumps(data, ensure_ascii=False)}\n\n"


def _request(service: Service, body: schemas.AskRequest) -> AskRequest:
    longest = service.settings.deadline
    return AskRequest(
        body.question,
        lang=body.lang,
        strategy=body.strategy,
        options=body.options,
        collections=service.application.check_collections(body.collections),
        limits=replace(
            _limits(service, body.depth, body.top_k),
            deadline=longest if body.deadline is None else min(body.deadline, longest),
        ),
    )


def _limits(service: Service, depth: int | None, top_k: int | None) -> AskLimits:
    """Return the limits that a body sets.

    Raises:
        Refusal: one is above the service's own."""
    settings = service.settings
    for name, value, most in (("depth", depth, settings.max_depth), ("top_k", top_k, settings.max_top_k)):
        if value is not None and value > most:
            raise Refusal(422, "too_many", f"`{name}: {value}` is more than the {most} that are allowed", param=name)
    return AskLimits(depth=depth, top_k=top_k)


@router.post("/retrieve", response_model=schemas.RetrieveResponse)
async def retrieve(request: Request, body: schemas.RetrieveRequest) -> Any:
    """Return the passages that an answer would be made from, retrieved and reranked."""
    service = service_of(request)
    application = service.application
    chosen = application.check_collections(body.collections)
    limits = _limits(service, body.depth, body.top_k)

    async def found() -> dict[str, Any]:
        async with service.working() as trace:
            text = application.check_question(body.question)
            lang = await application.language_of(text, body.lang)
            query = Query(text, lang, collections=chosen)
            passages = await application.stages_for(trace, limits=limits).search(query)
        return {"lang": lang, "passages": passages_as_dicts(passages), "trace": trace.as_dict()}

    return await while_there(request, found())


@router.post("/translate", response_model=schemas.TranslateResponse)
async def translate(request: Request, body: schemas.TranslateRequest) -> Any:
    """Translate texts; sentence by sentence where they are long."""
    service = service_of(request)
    _check_texts(service, body.texts)
    target = language(body.target).code

    async def translated() -> dict[str, Any]:
        translator = service.application.stages.translator
        if translator is None:
            raise ConfigError("this deployment has no translator")
        async with service.working() as trace:
            with trace.stage("translate"):
                sources = await _sources(service, body.texts, body.source)
                made = await translator.translate(body.texts, sources, target)
        pairs = zip(made, sources, strict=True)
        outputs = [{"text": m.text, "source": lang, "flags": list(m.flags)} for m, lang in pairs]
        return {"translations": outputs, "trace": trace.as_dict()}

    return await while_there(request, translated())


@router.post("/tag", response_model=schemas.TagResponse)
async def tag(request: Request, body: schemas.TagRequest) -> Any:
    """Score translations for meaning, grammar and fluency."""
    service = service_of(request)
    originals, translations = [pair.original for pair in body.pairs], [pair.translation for pair in body.pairs]
    _check_texts(service, [*originals, *translations], pairs=True)
    target = language(body.target).code

    async def tagged() -> dict[str, Any]:
        tagger = service.application.stages.tagger
        if tagger is None:
            raise ConfigError("this deployment has no tagger")
        async with service.working() as trace:
            with trace.stage("tag"):
                sources = await _sources(service, originals, body.source)
                verdicts = await tagger.score(originals, translations, sources, target)
        outputs = [{"scores": v.scores and asdict(v.scores), "unscored": v.cause} for v in verdicts]
        return {"verdicts": outputs, "trace": trace.as_dict()}

    return await while_there(request, tagged())


@router.post("/rerank", response_model=schemas.RerankResponse, response_model_exclude_none=True)
async def rerank(request: Request, body: schemas.RerankRequest) -> Any:
    """Rank documents by how well they answer the query, as Cohere's and Jina's endpoints do."""
    service = service_of(request)
    texts = [document if isinstance(document, str) else document.get("text", "") for document in body.documents]
    _check_texts(service, [body.query, *texts], most=service.settings.max_depth + 1)

    async def ranked() -> dict[str, Any]:
        async with service.working():
            lang = Lang("und")
            hits = [Hit(Passage(str(n), text, lang), 0.0) for n, text in enumerate(texts)]
            found = await service.application.stages.reranker.rerank(Query(body.query, lang), hits)
        results = [
            {
                "index": int(hit.passage.passage_id),
                "relevance_score": hit.score,
                "document": {"text": hit.passage.text} if body.return_documents else None,
            }
            for hit in found[: body.top_n]
        ]
        return {"id": request.state.request_id, "model": body.model or "qttrag", "results": results}

    return await while_there(request, ranked())


async def _sources(service: Service, texts: Sequence[str], given: str | None) -> list[Lang]:
    if given is not None:
        return [language(given).code] * len(texts)
    return await service.application.detector.detect(texts)


def _check_texts(service: Service, texts: Sequence[str], *, pairs: bool = False, most: int | None = None) -> None:
    settings = service.settings
    most = most or settings.max_texts * (2 if pairs else 1)
    if len(texts) > most:
        raise Refusal(422, "too_many", f"{len(texts)} texts are more than the {most} that are allowed")
    if long := [n for n, text in enumerate(texts) if len(text) > settings.max_text_chars]:
        raise Refusal(
            422, "too_long", f"text {long[0]} is longer than the {settings.max_text_chars} characters that are allowed"
        )
