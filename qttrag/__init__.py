"""Multilingual retrieval-augmented question answering with quality-tagged translations."""

from typing import Any


def __getattr__(name: str) -> Any:
    if name == "__version__":  # on demand: importlib.metadata takes longer to import than all of this command line
        from importlib.metadata import version

        return version("qttrag")
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
