"""qttrag as a service: `create_app` makes the ASGI application, `qttrag serve` runs it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from fastapi import FastAPI

    from qttrag.application.application import Application
    from qttrag.config.deployment import Deployment


def create_app(deployment: Deployment | str | Path = "laptop", *, application: Application | None = None) -> FastAPI:
    """Return the service of a deployment, or of an open application; models load when it starts.

    Raises:
        ConfigError: the deployment is invalid."""
    from qttrag.server.app import create_app

    return create_app(deployment, application=application)


def __dir__() -> list[Any]:
    return ["create_app"]
