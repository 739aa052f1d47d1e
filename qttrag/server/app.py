"""The ASGI application: routes, middleware, and loading of the models."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware

from qttrag import __version__
from qttrag.application.application import Application
from qttrag.config import deployment as config
from qttrag.config.deployment import Deployment
from qttrag.server.admission import Clients
from qttrag.server.documents import Documents
from qttrag.server.errors import install_handlers
from qttrag.server.middleware import BodyLimits, RequestMiddleware, with_request_ids
from qttrag.server.openapi import describe
from qttrag.server.origins import HostCheck
from qttrag.server.overload import OverloadMiddleware
from qttrag.server.routes import ask, chat, documents, embeddings, feedback, page, stages, status
from qttrag.server.service import Service

if TYPE_CHECKING:
    from fastapi.telemetry import TelemetryConfig

TELEMETRY: TelemetryConfig = {
    "tracing": False,
    "metrics": False,
    "logs": False,
}  # FastAPI's own includes query strings


def create_app(deployment: Deployment | str | Path, *, application: Application | None = None) -> FastAPI:
    """Return the service; see `qttrag.server.create_app`."""
    if application is None:
        loaded = deployment if isinstance(deployment, Deployment) else config.load(deployment)
        application = Application.open(loaded)
    service = Service.of(application)
    app = FastAPI(
        title="qttrag",
        version=__version__,
        summary="Questions in one language, answered from evidence in another",
        lifespan=_lifespan,
        docs_url=None,
        redoc_url=None,
        telemetry=TELEMETRY,
    )
    app.state.service = service
    app.state.documents = Documents(application)
    for group in (ask, stages, chat, documents, embeddings, feedback, status, page):
        app.include_router(group.router)
    install_handlers(app)
    describe(app.openapi(), application)
    protect(app, service)
    return app


def protect(app: FastAPI, service: Service) -> None:
    """Put the checks and limits of a service before `app`."""
    settings = service.settings
    app.state.clients = clients = Clients(settings, service.metrics.limit_failures.inc)
    app.add_middleware(
        RequestMiddleware,
        clients=clients,
        hosts=HostCheck(settings, keyed=bool(clients.keys)),
        bodies=BodyLimits(settings.max_body_bytes, settings.body_timeout),
        uploads=BodyLimits(settings.uploads.max_bytes, settings.uploads.timeout),
        metrics=service.metrics,
        tracing=service.tracing,
    )
    if settings.origins:  # outside the check of keys: preflight requests have none, and errors must be readable, too
        app.add_middleware(CORSMiddleware, allow_origins=settings.origins, allow_methods=["*"], allow_headers=["*"])
    app.add_middleware(with_request_ids)
    app.add_middleware(OverloadMiddleware, admission=service.admission, metrics=service.metrics)  # the outermost


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    documents: Documents = app.state.documents
    async with app.state.service.running(retriever=documents.before if documents.collections else None):
        yield
        await documents.close()
