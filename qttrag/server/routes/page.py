"""The page at `/`: three files from this package, nothing from anywhere else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import FileResponse

from qttrag.application import registry
from qttrag.server.service import Service
from qttrag.text.languages import LANGUAGES

router = APIRouter(include_in_schema=False)
_FILES = Path(__file__).parents[1] / "static"


@router.get("/")
async def page() -> FileResponse:
    return FileResponse(_FILES / "page.html", headers={"cache-control": "no-cache"})


@router.get("/page.js")
async def script() -> FileResponse:
    return FileResponse(_FILES / "page.js", headers={"cache-control": "no-cache"})


@router.get("/page.css")
async def style() -> FileResponse:
    return FileResponse(_FILES / "page.css", headers={"cache-control": "no-cache"})


@router.get("/v1/choices")
async def choices(request: Request) -> dict[str, Any]:
    """Return what the page lets people choose from."""
    service: Service = request.app.state.service
    return {
        "strategies": sorted(registry.kinds("strategy")),
        "strategy": service.application.deployment.strategy,
        "collections": service.application.collections,
        "languages": [{"code": each.code, "name": each.name} for each in LANGUAGES.values()],
    }
