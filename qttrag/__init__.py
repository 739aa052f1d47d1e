"""Multilingual retrieval-augmented question answering with quality-tagged translations."""

from importlib.metadata import version as _version

__version__ = _version("qttrag")
