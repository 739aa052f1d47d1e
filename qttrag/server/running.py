"""Running an application of the service: its server, its drain, its log."""

from __future__ import annotations

import socket
from typing import Any

import uvicorn
from fastapi import FastAPI

from qttrag.server.draining import DrainingServer
from qttrag.server.http_protocol import TimedProtocol
from qttrag.server.service import Service
from qttrag.server.starting import KeptFromCollection

_CLOSING_S = 5  # for connections to close after the drain

LOGGING: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"json": {"()": "qttrag.server.middleware.LogFormatter"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "json"}},
    "root": {"handlers": ["stderr"], "level": "WARNING"},  # other libraries
    "loggers": {
        "uvicorn": {"handlers": ["stderr"], "level": "INFO", "propagate": False},
        "mcp": {"handlers": ["stderr"], "level": "WARNING", "propagate": False},
        "qttrag": {"handlers": ["stderr"], "level": "INFO", "propagate": False},
        "opentelemetry": {"handlers": ["stderr"], "level": "WARNING", "propagate": False},
        "asgi_correlation_id": {"handlers": ["stderr"], "level": "ERROR", "propagate": False},  # else plain text
    },
}
"""Everything goes to standard error, as JSON lines."""


def run(app: FastAPI, listening: list[socket.socket]) -> bool:
    """Serve `app` at sockets until a signal ends it; return whether it started. `app.state.service`: its service."""
    service: Service = app.state.service
    config = uvicorn.Config(
        app,
        http=TimedProtocol,
        log_config=LOGGING,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=_CLOSING_S,
        limit_concurrency=service.settings.max_connections,
        callback_notify=KeptFromCollection(service.starting),
        timeout_notify=1,  # seconds between two calls of it
    )
    server = DrainingServer(config, service)
    server.run(sockets=listening)
    return server.started
