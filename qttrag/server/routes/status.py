"""Probes and metrics: `/livez`, `/readyz`, `/metrics`."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse, PlainTextResponse
from prometheus_client import CONTENT_TYPE_LATEST

from qttrag.server import schemas
from qttrag.server.service import service_of

router = APIRouter()


@router.get("/livez", response_class=PlainTextResponse)
async def livez() -> str:
    """Report that the process is alive."""
    return "ok"


@router.get("/readyz", response_model=schemas.ReadyResponse, responses={503: {"model": schemas.ReadyResponse}})
async def readyz(request: Request) -> Any:
    """Report whether every stage is ready, and which is not. During the shutdown the service is not ready."""
    service = service_of(request)
    ready = not service.is_draining and all(state == "ready" for state in service.starting.values())
    return JSONResponse({"ready": ready, "stages": service.starting}, 200 if ready else 503)


@router.get("/metrics", response_class=PlainTextResponse)
async def metrics(request: Request) -> Response:
    """Return the metrics in Prometheus' format."""
    service = service_of(request)
    return Response(service.metrics.text(), media_type=CONTENT_TYPE_LATEST)
