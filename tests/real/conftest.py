"""Pretrained weights as folders, and the servers over them, started once per session."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.openai_client.test_balancing import free_port
from tests.processes import serving
from tests.real import weights

_CACHE = Path(os.environ.get("QTTRAG_REAL_WEIGHTS", Path(sys.prefix) / "weights"))


@pytest.fixture(scope="session")
def encoder() -> Path:
    """The folder of multilingual-e5-small."""
    return _written(weights.ENCODER_FILE, weights.write_encoder)


@pytest.fixture(scope="session")
def language_model() -> Path:
    """The folder of SmolLM2-135M-Instruct."""
    return _written(weights.LANGUAGE_MODEL_FILE, weights.write_language_model)


def _written(file: Path, write: Callable[[Path, Path], Path]) -> Path:
    folder = weights.written(file, write, _CACHE)
    if folder is None:
        pytest.skip(f"package '{file.parts[0]}' is not installed; make test-real creates the environment")
    return folder


@pytest.fixture(scope="session")
def embedding_server(encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The base URL of multilingual-e5-small behind `/v1/embeddings`."""
    port = free_port()
    command = [sys.executable, "-m", "tests.real.embedding_server", str(port)]
    url = f"http://127.0.0.1:{port}"
    with serving(command, f"{url}/v1/models", tmp_path_factory.mktemp("embeddings") / "log"):
        yield f"{url}/v1"


@pytest.fixture(scope="session")
def llama_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The base URL of SmolLM2-135M-Instruct behind the server of llama-cpp-python, with its settings as shipped."""
    file = weights.packaged(weights.LANGUAGE_MODEL_FILE)
    if file is None or importlib.util.find_spec("llama_cpp") is None:
        pytest.skip("llama-cpp-python is not installed; make test-real creates the environment")
    port = free_port()
    command = [sys.executable, "-m", "llama_cpp.server", "--model", str(file), "--port", str(port)]
    command += ["--n_ctx", "8192", "--model_alias", "smollm2"]
    url = f"http://127.0.0.1:{port}/v1"
    with serving(command, f"{url}/models", tmp_path_factory.mktemp("llama") / "log"):
        yield url
