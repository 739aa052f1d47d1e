"""The files of a checkpoint, read without the library that wrote them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch


def config(folder: Path, name: str = "config.json") -> dict[str, Any]:
    """Return a file of settings; {} if there is none."""
    file = folder / name
    settings: dict[str, Any] = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    return settings


def shapes(folder: Path) -> dict[str, tuple[int, ...]]:
    """Return the names of all tensors and their shapes; only the beginnings of the files are read."""
    return {name: tuple(file.get_slice(name).get_shape()) for file in files(folder) for name in list(file.keys())}


def tensors(folder: Path) -> dict[str, torch.Tensor]:
    """Return all tensors in float32. Those that are stored so stay in the mapped files until they are used."""
    return {name: file.get_tensor(name).float() for file in files(folder) for name in list(file.keys())}


def files(folder: Path) -> list[Any]:
    """Return the files that the index of the checkpoint names; without an index, all."""
    from safetensors import safe_open

    parts = config(folder, "model.safetensors.index.json").get("weight_map", {}).values()
    names = sorted(set(parts)) or sorted(file.name for file in folder.glob("*.safetensors"))
    return [safe_open(str(folder / name), "pt") for name in names]
