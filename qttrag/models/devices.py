"""The device a model runs on, and the one thread that may use it."""

from __future__ import annotations

import ctypes
import functools
import os
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from qttrag.models.loading import needing_packages


def pick(device: str) -> str:
    """Return "cuda" or "cpu" for "auto", any other name unchanged."""
    if device != "auto":
        return device
    if not _may_have_gpu():
        return "cpu"
    with needing_packages():
        import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def every(device: str | Sequence[str]) -> list[str]:
    """Return the devices to use in parallel: for "auto" all GPUs, or the CPU; else the given ones."""
    if device != "auto":
        return [device] if isinstance(device, str) else list(device)
    if not _may_have_gpu():
        return ["cpu"]
    with needing_packages():
        import torch

    return [f"cuda:{n}" for n in range(torch.cuda.device_count())] or ["cpu"]


@functools.cache
def _may_have_gpu() -> bool:
    """Return whether torch could find a GPU; False without importing torch, which takes seconds.

    torch needs the library of NVIDIA's driver, or the device of AMD's."""
    if Path("/dev/kfd").exists() or sys.platform not in ("linux", "darwin"):
        return True
    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError:
        return False
    return True


def cores() -> int:
    """Return the number of processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@functools.cache
def executor(device: str) -> ThreadPoolExecutor:
    """Return the single-thread executor of a device: models on one device take turns instead of competing."""
    return ThreadPoolExecutor(max_workers=1, thread_name_prefix=f"qttrag-{device}")
