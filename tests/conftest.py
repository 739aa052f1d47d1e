"""Tiny models of the real architectures, made once per session. No test can reach a model hub."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"
if "PYTEST_XDIST_WORKER" in os.environ:  # one process per core, each with one thread
    os.environ["OMP_NUM_THREADS"] = "1"

import hypothesis
import pytest

if TYPE_CHECKING:
    from tests.redis_server import RedisServer

hypothesis.settings.register_profile("suite", deadline=None)  # how long an example takes is not what tests are about
hypothesis.settings.load_profile("suite")


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the tiny models: encoder, reranker, nllb, llama."""
    from tests import tiny_models

    root = tmp_path_factory.mktemp("tiny")
    tiny_models.make_all(root)
    return root


@pytest.fixture(autouse=True)
def _own_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give each test its own caches and built indexes; prompts, recipes and deployments are those of the checkout."""
    monkeypatch.setenv("QTTRAG_HOME", str(tmp_path_factory.mktemp("home")))


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer]:
    """A Redis server for all tests of the session; a test empties what it uses."""
    from tests.redis_server import RedisServer

    server = RedisServer()
    yield server
    server.close()
