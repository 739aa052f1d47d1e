"""A tiny model behind a real vLLM, for the tests marked `vllm` and for benchmarks."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml

from qttrag.config import deployment as config
from qttrag.vllm import plan, processes

CONTEXT = 4096
ENVIRONMENT = {
    "VLLM_CPU_KVCACHE_SPACE": "1", "HF_HUB_OFFLINE": "1", "TORCH_COMPILE_DISABLE": "1", "OMP_NUM_THREADS": "1",
    "PYTHONPATH": "",
}  # fmt: skip
_FLAGS = {"dtype": "float32", "enforce-eager": True}  # a CPU has no graphs to capture
_READY_S = 600.0  # the first start from a new environment, on a busy machine, takes minutes


def spec_of(model: Path, port: int) -> dict[str, object]:
    """Return the settings of a generator for a model at a local port."""
    return {
        "kind": "openai", "model": str(model), "base_url": f"http://127.0.0.1:{port}/v1", "context": CONTEXT,
        "tokenizer": str(model),
    }  # fmt: skip


def planned(spec: dict[str, object], home: Path, bin_folder: Path) -> list[plan.PlannedServer]:
    """Return the plan of `qttrag vllm up` for a generator, with server/vllm.yaml as shipped except for the command and
    the CPU settings of a tiny model."""
    path = home / "served.yaml"
    path.write_text(yaml.safe_dump({"retriever": {"kind": "bm25", "collections": []}, "generator": spec}), "utf-8")
    cpu = plan.CpuSettings(environment=ENVIRONMENT, flags=_FLAGS)
    settings = plan.load().model_copy(update={"command": str(bin_folder / "vllm"), "cpu": cpu})
    return plan.plan(config.load(path), settings, [])


def start(spec: dict[str, object], home: Path, bin_folder: Path) -> processes.RunningServer:
    with _at(home):
        return processes.up(planned(spec, home, bin_folder), ready_s=_READY_S)[0]


def stop(home: Path) -> None:
    with _at(home):
        processes.down()


@contextmanager
def _at(home: Path) -> Iterator[None]:
    """Set $QTTRAG_HOME to `home`, the folder of the servers' files."""
    before = os.environ.get("QTTRAG_HOME")
    os.environ["QTTRAG_HOME"] = str(home)
    try:
        yield
    finally:
        del os.environ["QTTRAG_HOME"]
        if before is not None:
            os.environ["QTTRAG_HOME"] = before
