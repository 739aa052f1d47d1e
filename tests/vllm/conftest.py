"""Real servers for the tests marked `vllm`, started once per session.

QTTRAG_VLLM names the environment that has vLLM (`make test-vllm` creates one and sets it)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import processes
from tests.openai_client.test_balancing import free_port
from tests.vllm import serving


@pytest.fixture(scope="session")
def bin_folder() -> Path:
    """The folder of the programs `vllm` and `transformers`."""
    if not (value := os.environ.get("QTTRAG_VLLM")):
        pytest.skip("QTTRAG_VLLM is not set to an environment with vLLM; make test-vllm creates one")
    return Path(value).resolve() / "bin"


@pytest.fixture(scope="session")
def generator(bin_folder: Path, tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, object]]:
    """The settings of a generator behind vLLM, started as by `qttrag vllm up`."""
    home = tmp_path_factory.mktemp("vllm")
    spec = serving.spec_of(tiny / "llama", free_port())
    serving.start(spec, home, bin_folder)
    yield spec
    serving.stop(home)


@pytest.fixture(scope="session")
def other_generator(
    bin_folder: Path, tiny: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, object]]:
    """The settings of the same generator behind `transformers serve`."""
    model, port = tiny / "llama", free_port()
    command = [str(bin_folder / "transformers"), "serve", str(model), "--port", str(port), "--device", "cpu"]
    log = tmp_path_factory.mktemp("serve") / "log"
    with processes.serving(command, f"http://127.0.0.1:{port}/health", log, environment=serving.ENVIRONMENT):
        yield serving.spec_of(model, port)
