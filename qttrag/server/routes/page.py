"""The page at `/`: three files of this package; it loads nothing from other hosts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import FileResponse

from qttrag.application import registry
from qttrag.server.service import service_of
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
    """Return the strategies, collections and languages that the page offers."""
    service = service_of(request)
    return {
        "strategies": sorted(registry.kinds("strategy")),
        "strategy": service.application.deployment.strategy,
        "collections": service.application.collections,
        "languages": [{"code": row.code, "name": row.name} for row in LANGUAGES.values()],
    }
