"""Locating the files of a model, and loading it once."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import threading
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

from qttrag import trace
from qttrag.errors import ConfigError, StageError, describe, not_installed
from qttrag.models import hub

M = TypeVar("M")
_ONE_AT_A_TIME = threading.Lock()  # while it loads, transformers disables torch's initialisation for all threads


class LocatedModel(NamedTuple):
    """A model's folder on this machine and the identity of its weights: a commit, or a digest of the folder."""

    path: Path
    revision: str


class Lazy(Generic[M]):
    """A model that loads on first use, once, off the event loop; several models load one after another."""

    def __init__(self, load: Callable[[], M]) -> None:
        self._load = load
        self._lock = asyncio.Lock()
        self._model: M | None = None

    async def get(self) -> M:
        if self._model is None:
            async with self._lock:
                if self._model is None:
                    model, start, end = await asyncio.to_thread(self._load_alone)
                    self._model = model
                    trace.reassign_time("load", start, end)  # once, however many callers wait
        return self._model

    def _load_alone(self) -> tuple[M, float, float]:
        with _ONE_AT_A_TIME, needing_packages():
            start = time.perf_counter()
            return self._load(), start, time.perf_counter()


@contextmanager
def needing_packages() -> Iterator[None]:
    """Turn a failed import in the block into an error that says how to install the package.

    Threads of libraries that the block imports first sleep while they wait for each other, unless OMP_WAIT_POLICY is
    set. By default they spin; then a model on a CPU takes many times as long as soon as another process needs a core
    (`python -m benchmarks.waiting`).

    Raises:
        ConfigError: a package is not installed."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        yield
    except ModuleNotFoundError as error:
        raise ConfigError(not_installed("a model", error)) from error


def locate(
    stage: str,
    model: str,
    *,
    revision: str | None,
    model_types: Collection[str],
    local_only: bool = False,
    weights: bool = True,
) -> LocatedModel:
    """Return the folder of `model`: a path, or a name on the hub, from the local cache or downloaded.

    The cache goes first, so a branch stands for its commit at the last download. Only safetensors weights are
    accepted. `model_types`: the accepted architectures in config.json; empty for any. `local_only`: download nothing.
    `weights`: False if the tokenizer is enough.

    Raises:
        ConfigError: there is no such model, or the folder is unsuitable for the stage."""
    path = Path(model).expanduser()
    if path.is_dir():
        _check(stage, path, model_types, weights=weights)
        return LocatedModel(path, revision or _digest(path))
    if not is_hub_name(model):
        raise ConfigError(
            f"{stage}: no model folder '{model}'; give the path of an existing folder or a hub name 'owner/name'"
        )
    cached = hub.cached(model, revision, weights=weights)
    if cached is None and local_only:
        at = f" at revision '{revision}'" if revision else ""
        raise ConfigError(
            f"{stage}: model '{model}'{at} is not completely in the local cache; "
            "fetch it: qttrag models pull DEPLOYMENT"
        )
    path = cached or hub.fetch(stage, model, revision, weights=weights).path
    _check(stage, path, model_types, weights=weights)
    return LocatedModel(path, path.name)


def is_hub_name(model: str) -> bool:
    """Return whether `model:` names a repository of the hub, "owner/name", rather than a folder."""
    path = Path(model).expanduser()
    return model.count("/") == 1 and not (path.is_absolute() or model.startswith((".", "~")) or path.is_dir())


def _check(stage: str, path: Path, model_types: Collection[str], *, weights: bool) -> None:
    config_path = path / "config.json"
    if not config_path.is_file():
        raise ConfigError(
            f"{stage}: {path} is not a model folder: it has no config.json; "
            "set `model:` to a folder saved by save_pretrained"
        )
    model_type = _read(stage, config_path).get("model_type")
    if model_types and model_type not in model_types:
        raise ConfigError(
            f"{stage}: {path} holds a '{model_type}' model, not {' or '.join(sorted(model_types))}; "
            "set `model:` to a model of that type"
        )
    if weights:
        _check_weights(stage, path)


def _check_weights(stage: str, path: Path) -> None:
    if not any(path.glob("*.safetensors")):
        raise ConfigError(
            f"{stage}: {path} has no *.safetensors weights; other formats are not supported. "
            "Choose a `revision:` with safetensors, or convert the model with save_pretrained(safe_serialization=True)"
        )
    index = path / "model.safetensors.index.json"
    parts = set(_read(stage, index).get("weight_map", {}).values()) if index.is_file() else set()
    if missing := sorted(name for name in parts if not (path / name).is_file()):
        raise ConfigError(
            f"{stage}: {path} lacks {len(missing)} of the {len(parts)} files of its weights (first: {missing[0]}); "
            "download it again: qttrag models pull DEPLOYMENT"
        )


def _read(stage: str, path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{stage}: {path} cannot be read: {error}; download the model again") from error
    if not isinstance(content, dict):
        raise ConfigError(f"{stage}: {path} is not a JSON object; download the model again")
    return content


def _digest(path: Path) -> str:
    """Return a digest of the folder: of small files as a whole, of large ones by size, beginning and end."""
    digest = hashlib.blake2b(digest_size=8)
    for file in sorted(p for p in path.rglob("*") if p.suffix in {".safetensors", ".json", ".jinja", ".model", ".spm"}):
        size = file.stat().st_size
        digest.update(f"{file.relative_to(path)}:{size}".encode())
        with file.open("rb") as stream:
            if size <= 1 << 24:
                digest.update(stream.read())
            else:
                digest.update(stream.read(1 << 23))
                stream.seek(-(1 << 23), 2)
                digest.update(stream.read())
    return digest.hexdigest()


def quiet() -> None:
    """Disable the progress bars of transformers for loading; those of downloads stay."""
    from transformers.utils import logging

    logging.disable_progress_bar()


def failed(stage: str, error: Exception) -> StageError:
    """Return the StageError of a library's error, with its type and first line."""
    return StageError(stage, describe(error))
