"""The ASGI application: routes, middleware, and loading of the models."""

from __future__ import annotations

import asyncio
import logging
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
from qttrag.errors import QttragError
from qttrag.protocols import Startable
from qttrag.server.admission import Admission, keys_and_rate
from qttrag.server.errors import install_handlers
from qttrag.server.metrics import Metrics
from qttrag.server.middleware import RequestMiddleware, with_request_ids
from qttrag.server.openapi import describe
from qttrag.server.routes import ask, chat, page, stages, status
from qttrag.server.service import Service
from qttrag.server.tracing import Tracing

if TYPE_CHECKING:
    from fastapi.telemetry import TelemetryConfig

_LOG = logging.getLogger("qttrag.server")
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
    for group in (ask, stages, chat, status, page):
        app.include_router(group.router)
    install_handlers(app)
    describe(app.openapi(), application)
    if settings.origins:
        app.add_middleware(CORSMiddleware, allow_origins=settings.origins, allow_methods=["*"], allow_headers=["*"])
    keys, rate = keys_and_rate(settings)
    app.add_middleware(
        RequestMiddleware,
        keys=keys,
        rate=rate,
        max_body_bytes=settings.max_body_bytes,
        metrics=service.metrics,
        tracing=service.tracing,
    )
    app.add_middleware(with_request_ids)  # added last, so it is the outermost
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    service: Service = app.state.service
    service.tracing.start()
    try:
        async with _loading(service):
            yield
    finally:
        await asyncio.to_thread(service.tracing.close)


@asynccontextmanager
async def _loading(service: Service) -> AsyncIterator[None]:
    async with service.application, asyncio.TaskGroup() as loading:
        startable: dict[str, list[Startable]] = {}
        for name, part in service.application.parts:
            if isinstance(part, Startable):
                startable.setdefault(name, []).append(part)
        service.starting = dict.fromkeys(startable, "loading")
        tasks = [loading.create_task(_start(service, name, parts)) for name, parts in startable.items()]
        yield
        for task in tasks:
            task.cancel()


async def _start(service: Service, name: str, parts: list[Startable]) -> None:
    try:
        await asyncio.gather(*(part.start() for part in parts))
        service.starting[name] = "ready"
    except QttragError as error:
        service.starting[name] = "failed"
        _LOG.error("stage failed", extra={"stage": name, "cause": str(error)})
