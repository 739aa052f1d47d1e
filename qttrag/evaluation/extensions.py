"""Datasets and measures of other packages, which declare them as entry points."""

from __future__ import annotations

import importlib
from importlib.metadata import entry_points
from typing import Any

from qttrag.errors import ConfigError


def declared(group: str) -> dict[str, str]:
    """Return "module" or "module:attribute" by name, as the installed packages declare it in an entry point group."""
    return {point.name: point.value for point in entry_points(group=group)}


def load(value: str, what: str) -> Any:
    """Return the module or attribute that `value` names.

    Raises:
        ConfigError: it cannot be imported; the message names `what`."""
    module, _, attribute = value.partition(":")
    try:
        imported = importlib.import_module(module)
        return getattr(imported, attribute) if attribute else imported
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"{what} ({value}) cannot be imported: {error}; correct or uninstall its package") from error
