"""Tiny real models, made once a session. Hubs are out of reach by setting, so that no test depends on one."""

from __future__ import annotations

import os
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"

import pytest


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the tiny models: encoder, reranker, nllb, llama."""
    from tests import tiny_models

    root = tmp_path_factory.mktemp("tiny")
    tiny_models.make_all(root)
    return root


@pytest.fixture(autouse=True)
def _own_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Caches and built indexes of a test are its own; prompts and the like are the checkout's."""
    monkeypatch.setenv("QTTRAG_HOME", str(tmp_path_factory.mktemp("home")))
