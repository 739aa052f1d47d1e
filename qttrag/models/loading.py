"""Finding a model's files and loading them once."""

from __future__ import annotations

import asyncio
import hashlib
import json
import threading
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

from qttrag import trace
from qttrag.errors import ConfigError, StageError, not_installed
from qttrag.models import hub

M = TypeVar("M")
_ONE_AT_A_TIME = threading.Lock()  # transformers switches torch's initialisation off and on for all threads


class LocatedModel(NamedTuple):
    """A model's folder on this machine and what tells its weights from others: a commit, or a digest."""

    path: Path
    revision: str


class Lazy(Generic[M]):
    """A model that loads once, off the event loop, when it is first needed; of several, one after another."""

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
                    trace.reassign_time("load", start, end)  # once, however many wait
        return self._model

    def _load_alone(self) -> tuple[M, float, float]:
        with _ONE_AT_A_TIME, needing_packages():
            start = time.perf_counter()
            return self._load(), start, time.perf_counter()


@contextmanager
def needing_packages() -> Iterator[None]:
    """Say how to install what the block imports.

    Raises:
        ConfigError: a package is not installed."""
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
    """Return the folder of `model`: a path, or a hub name that is looked up in the local cache, then fetched.

    The cache is asked first, so a branch stands for the commit of it that was fetched last. Only safetensors weights
    are accepted. `model_types`: what config.json may say the architecture is; empty for any. `local_only`: fetch
    nothing. `weights` off: the tokenizer is enough.

    Raises:
        ConfigError: there is no such model, or the folder is not what the stage expects."""
    path = Path(model).expanduser()
    if path.is_dir():
        _check(stage, path, model_types, weights=weights)
        return LocatedModel(path, revision or _digest(path))
    if not is_hub_name(model):
        raise ConfigError(
            f"{stage}: no model folder '{model}'; give the path of an existing folder or a hub name 'owner/name'"
        )
    found = hub.cached(model, revision, weights=weights)
    if found is None and local_only:
        at = f" at revision '{revision}'" if revision else ""
        raise ConfigError(
            f"{stage}: model '{model}'{at} is not, or not wholly, in the local cache; "
            "fetch it: qttrag models pull DEPLOYMENT"
        )
    path = found or hub.fetch(stage, model, revision, weights=weights).path
    _check(stage, path, model_types, weights=weights)
    return LocatedModel(path, path.name)


def is_hub_name(model: str) -> bool:
    """Say whether `model:` names a repository of the hub, "owner/name", rather than a folder."""
    path = Path(model).expanduser()
    return model.count("/") == 1 and not (path.is_absolute() or model.startswith((".", "~")) or path.is_dir())


def _check(stage: str, path: Path, model_types: Collection[str], *, weights: bool) -> None:
    config_path = path / "config.json"
    if not config_path.is_file():
        raise ConfigError(
            f"{stage}: {path} is not a model folder: it has no config.json; "
            "set `model:` to a folder saved by save_pretrained"
        )
    found = _read(stage, config_path).get("model_type")
    if model_types and found not in model_types:
        raise ConfigError(
            f"{stage}: {path} holds a '{found}' model, not {' or '.join(sorted(model_types))}; "
            "set `model:` to one that is"
        )
    if weights:
        _check_weights(stage, path)


def _check_weights(stage: str, path: Path) -> None:
    if not any(path.glob("*.safetensors")):
        raise ConfigError(
            f"{stage}: {path} has no *.safetensors weights; other formats are not loaded. "
            "Choose a `revision:` that has them, or convert the model with save_pretrained(safe_serialization=True)"
        )
    index = path / "model.safetensors.index.json"
    parts = set(_read(stage, index).get("weight_map", {}).values()) if index.is_file() else set()
    if missing := sorted(name for name in parts if not (path / name).is_file()):
        raise ConfigError(
            f"{stage}: {path} lacks {len(missing)} of the {len(parts)} files of its weights (first: {missing[0]}); "
            "fetch it again: qttrag models pull DEPLOYMENT"
        )


def _read(stage: str, path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{stage}: {path} cannot be read: {error}; fetch the model again") from error
    if not isinstance(content, dict):
        raise ConfigError(f"{stage}: {path} is not a JSON object; fetch the model again")
    return content


def _digest(path: Path) -> str:
    """Return a digest of the folder's contents: small files whole, weights by size and both ends."""
    digest = hashlib.blake2b(digest_size=8)
    for file in sorted(p for p in path.rglob("*") if p.suffix in {".safetensors", ".json", ".jinja", ".model"}):
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
    """Keep transformers from drawing a progress bar for every model it loads; downloads still draw theirs."""
    from transformers.utils import logging

    logging.disable_progress_bar()


def failed(stage: str, error: Exception) -> StageError:
    """Return a StageError for what a library raised, with its own words."""
    words = str(error).strip().splitlines()
    return StageError(stage, f"{type(error).__name__}: {words[0] if words else 'no message'}")
