"""The stages alone: `/v1/retrieve`, `/v1/translate`, `/v1/tag`, `/v1/rerank`."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request

from qttrag.server import schemas, single_stages
from qttrag.server.errors import STATUSES
from qttrag.server.json_bodies import JSONRoute
from qttrag.server.service import service_of, until_disconnected

router = APIRouter(prefix="/v1", route_class=JSONRoute, responses=STATUSES)


@router.post("/retrieve", response_model=schemas.RetrieveResponse)
async def retrieve(request: Request, body: schemas.RetrieveRequest) -> Any:
    """Return the passages that would be read for an answer, retrieved and reranked."""
    return await until_disconnected(request, single_stages.retrieve(service_of(request), body))


@router.post("/translate", response_model=schemas.TranslateResponse)
async def translate(request: Request, body: schemas.TranslateRequest) -> Any:
    """Translate texts, long ones sentence by sentence. Texts in unsupported languages are returned unchanged."""
    return await until_disconnected(request, single_stages.translate(service_of(request), body))


@router.post("/tag", response_model=schemas.TagResponse)
async def tag(request: Request, body: schemas.TagRequest) -> Any:
    """Score translations for meaning, grammar and fluency; those of originals in an unknown language are unscored."""
    return await until_disconnected(request, single_stages.tag(service_of(request), body))


@router.post("/rerank", response_model=schemas.RerankResponse, response_model_exclude_none=True)
async def rerank(request: Request, body: schemas.RerankRequest) -> Any:
    """Rank documents by relevance to the query, as Cohere's and Jina's endpoints do."""
    return await until_disconnected(request, single_stages.rerank(service_of(request), body))
