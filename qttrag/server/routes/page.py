"""The page at `/` and its files below `/page/`, all of this package: it loads nothing from other hosts."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.staticfiles import StaticFiles

from qttrag.application import registry
from qttrag.errors import ConfigError
from qttrag.rerankers.none import NoReranker
from qttrag.server.service import service_of
from qttrag.text.languages import LANGUAGES

router = APIRouter(include_in_schema=False)
_FILES = StaticFiles(directory=Path(__file__).parents[1] / "static")


@router.get("/")
async def page(request: Request) -> Response:
    return await _file("page.html", request)


@router.get("/page/{path:path}")
async def file(path: str, request: Request) -> Response:
    """Return a script, a style sheet or the texts of a language; 304 if the browser has it."""
    return await _file(path, request)


async def _file(path: str, request: Request) -> Response:
    response = await _FILES.get_response(path, request.scope)
    response.headers["cache-control"] = "no-cache"  # ask each time whether it changed: versions must not mix
    return response


@router.get("/v1/choices")
async def choices(request: Request) -> dict[str, Any]:
    """Return what the page offers: strategies, collections, languages, examples, and whether feedback is stored."""
    application = service_of(request).application
    deployment = application.deployment
    kinds = sorted(registry.kinds("strategy"))
    return {
        "strategies": kinds,
        "strategy": deployment.strategy,
        "explanations": {name: _explanation(name) for name in kinds},
        "collections": application.collections,
        "languages": [{"code": row.code, "name": row.name} for row in LANGUAGES.values()],
        "examples": deployment.examples,
        "longest_question": deployment.max_question_chars,
        "reranks": not isinstance(application.stages.reranker, NoReranker),
        "feedback": deployment.server.feedback is not None,
    }


def _explanation(strategy: str) -> str:
    """Return the first paragraph of a strategy's docstring; empty if another package's cannot be imported."""
    try:
        doc = inspect.getdoc(registry.resolve("strategy", strategy)) or ""
    except ConfigError:
        return ""
    return " ".join(doc.split("\n\n")[0].split())
