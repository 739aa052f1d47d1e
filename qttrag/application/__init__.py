"""Open a deployment and ask it questions: `from qttrag.application import Application`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from qttrag.application.application import Application as Application

__all__ = ["Application"]


def __getattr__(name: str) -> Any:
    if name == "Application":  # imported on first use: the registry alone must stay quick to import
        from qttrag.application.application import Application

        return Application
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
