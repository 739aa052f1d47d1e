"""Real servers of the suite marked `vllm`, once a session.

QTTRAG_VLLM names the environment that they are run from (`make test-vllm` makes one and sets it)."""

from __future__ import annotations

import os
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import yaml

from qttrag import config
from qttrag.vllm import plan, processes
from tests.generators.test_servers import free_port

FLAGS = {"dtype": "float32", "enforce-eager": True}  # a CPU has no graphs to capture, and a tiny model no time to lose
ENVIRONMENT = {
    "VLLM_CPU_KVCACHE_SPACE": "1", "HF_HUB_OFFLINE": "1", "TORCH_COMPILE_DISABLE": "1", "OMP_NUM_THREADS": "1",
    "PYTHONPATH": "",
}  # fmt: skip
CONTEXT = 4096


@pytest.fixture(scope="session")
def bin_folder() -> Path:
    """Where `vllm` and `transformers` are."""
    if not (value := os.environ.get("QTTRAG_VLLM")):
        pytest.skip("QTTRAG_VLLM names no environment with vLLM; make test-vllm makes one")
    return Path(value).resolve() / "bin"


def settings(bin_folder: Path) -> plan.VllmSettings:
    """What is shipped in server/vllm.yaml, with the tests' command and the least a tiny model needs."""
    cpu = plan.CpuSettings(environment=ENVIRONMENT, flags=FLAGS)
    return plan.load().model_copy(update={"command": str(bin_folder / "vllm"), "cpu": cpu, "ready_s": 240.0})


def spec_of(model: Path, port: int) -> dict[str, object]:
    return {
        "kind": "openai", "model": str(model), "base_url": f"http://127.0.0.1:{port}/v1", "context": CONTEXT,
        "tokenizer": str(model),
    }  # fmt: skip


@pytest.fixture(scope="session")
def generator(bin_folder: Path, tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, object]]:
    """The settings of a generator that vLLM serves, started as `qttrag vllm up` starts it."""
    home = tmp_path_factory.mktemp("vllm")
    spec = spec_of(tiny / "llama", free_port())
    path = home / "served.yaml"
    path.write_text(yaml.safe_dump({"retriever": {"kind": "bm25", "collections": []}, "generator": spec}), "utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("QTTRAG_HOME", str(home))
        processes.up(plan.plan(config.load(path), settings(bin_folder), []), ready_s=240)
    yield spec
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("QTTRAG_HOME", str(home))
        processes.down()


@pytest.fixture(scope="session")
def other_generator(
    bin_folder: Path, tiny: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, object]]:
    """The settings of the same generator behind `transformers serve`."""
    model, port = tiny / "llama", free_port()
    command = [str(bin_folder / "transformers"), "serve", str(model), "--port", str(port), "--device", "cpu"]
    log = tmp_path_factory.mktemp("serve") / "log"
    with log.open("wb") as output:
        server = subprocess.Popen(command, stdout=output, stderr=output, env={**os.environ, **ENVIRONMENT})
        try:
            _wait(server, f"http://127.0.0.1:{port}/health", log)
            yield spec_of(model, port)
        finally:
            server.terminate()
            server.wait(20)


def _wait(server: subprocess.Popen[bytes], url: str, log: Path) -> None:
    deadline = time.monotonic() + 180
    while time.monotonic() < deadline:
        assert server.poll() is None, log.read_text(encoding="utf-8")
        with suppress(OSError):
            urllib.request.urlopen(url, timeout=2).close()
            return
        time.sleep(0.5)
    pytest.fail(f"not ready: {log.read_text(encoding='utf-8')[-2000:]}")
