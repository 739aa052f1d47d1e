"""The ASGI application: routes, middleware, and loading of the models."""

from __future__ import annotations

import asyncio
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
from qttrag.protocols import Startable
from qttrag.server.admission import Admission, Clients
from qttrag.server.documents import Documents, PreparedParts
from qttrag.server.errors import install_handlers
from qttrag.server.metrics import Metrics
from qttrag.server.middleware import BodyLimits, RequestMiddleware, with_request_ids
from qttrag.server.openapi import describe
from qttrag.server.origins import HostCheck
from qttrag.server.overload import OverloadMiddleware
from qttrag.server.routes import ask, chat, documents, page, stages, status
from qttrag.server.service import Service
from qttrag.server.starting import start_stage
from qttrag.server.tracing import Tracing

if TYPE_CHECKING:
    from fastapi.telemetry import TelemetryConfig

_TELEMETRY: TelemetryConfig = {
    "tracing": False,
    "metrics": False,
    "logs": False,
}  # FastAPI's own includes query strings


def create_app(deployment: Deployment | str | Path, *, application: Application | None = None) -> FastAPI:
    """Return the service; see `qttrag.server.create_app`."""
    if application is None:
        loaded = deployment if isinstance(deployment, Deployment) else config.load(deployment)
        application = Application.open(loaded)
    settings = application.deployment.server
    admission = Admission(settings.in_flight, settings.queue)
    service = Service(application, admission, Metrics(admission), Tracing())
    app = FastAPI(
        title="qttrag",
        version=__version__,
        summary="Questions in one language, answered from evidence in another",
        lifespan=_lifespan,
        docs_url=None,
        redoc_url=None,
        telemetry=_TELEMETRY,
    )
    app.state.service = service
    app.state.documents = Documents(application)
    for group in (ask, stages, chat, documents, status, page):
        app.include_router(group.router)
    install_handlers(app)
    describe(app.openapi(), application)
    app.state.clients = clients = Clients(settings)
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
    app.add_middleware(OverloadMiddleware, admission=admission, metrics=service.metrics)  # the last is the outermost
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    service: Service = app.state.service
    service.tracing.start()
    try:
        async with _loading(service, app.state.documents):
            yield
    finally:
        await asyncio.to_thread(service.tracing.close)


@asynccontextmanager
async def _loading(service: Service, documents: Documents) -> AsyncIterator[None]:
    async with service.application, asyncio.TaskGroup() as loading:
        startable: dict[str, list[Startable]] = {}
        for name, part in service.application.parts:
            if isinstance(part, Startable):
                startable.setdefault(name, []).append(part)
        if documents.collections:
            startable["retriever"] = [PreparedParts(documents, startable.get("retriever", []))]
        service.starting = dict.fromkeys(startable, "loading")
        tasks = [loading.create_task(start_stage(name, parts, service.starting)) for name, parts in startable.items()]
        yield
        for task in tasks:
            task.cancel()
        await documents.close()
