"""Finding a model's files and loading them once."""

from __future__ import annotations

import asyncio
import hashlib
import json
import threading
import time
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Generic, NamedTuple, TypeVar

from qttrag import trace
from qttrag.errors import ConfigError, StageError

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
            start = time.perf_counter()
            async with self._lock:
                if self._model is None:
                    self._model = await asyncio.to_thread(self._load_alone)
            trace.elsewhere("load", time.perf_counter() - start)
        return self._model

    def _load_alone(self) -> M:
        with _ONE_AT_A_TIME:
            return self._load()


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

    Only safetensors weights are accepted. `model_types`: what config.json may say the architecture is; empty
    for any. `local_only`: fetch nothing. `weights` off: the tokenizer is enough.

    Raises:
        ConfigError: there is no such model, or the folder is not what the stage expects."""
    path = Path(model).expanduser()
    if path.is_dir():
        _check(stage, path, model_types, weights=weights)
        return LocatedModel(path, revision or _digest(path))
    if path.is_absolute() or model.startswith((".", "~")) or model.count("/") != 1:
        raise ConfigError(
            f"{stage}: no model folder '{model}'; give the path of an existing folder or a hub name 'owner/name'"
        )
    path = _from_hub(stage, model, revision, local_only=local_only, weights=weights)
    _check(stage, path, model_types, weights=weights)
    return LocatedModel(path, path.name)


def _from_hub(stage: str, model: str, revision: str | None, *, local_only: bool, weights: bool) -> Path:
    from huggingface_hub import snapshot_download

    patterns = [*(["*.safetensors"] if weights else []), "*.json", "*.jinja", "*.txt", "*.model"]
    try:
        return Path(snapshot_download(model, revision=revision, allow_patterns=patterns, local_files_only=True))
    except (OSError, ValueError) as error:
        if local_only:
            raise ConfigError(
                f"{stage}: model '{model}' is not in the local cache; it is fetched on first use"
            ) from error
    try:
        return Path(snapshot_download(model, revision=revision, allow_patterns=patterns))
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"{stage}: model '{model}' is not in the local cache and could not be fetched "
            f"({type(error).__name__}: {str(error).splitlines()[0]}); "
            "connect to the hub once, or set `model:` to a local folder"
        ) from error


def _check(stage: str, path: Path, model_types: Collection[str], *, weights: bool) -> None:
    config_path = path / "config.json"
    try:
        config = json.loads(config_path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(
            f"{stage}: {path} is not a model folder: it has no config.json; "
            "set `model:` to a folder saved by save_pretrained"
        ) from None
    except (OSError, ValueError) as error:
        raise ConfigError(f"{stage}: {config_path} cannot be read: {error}; fetch the model again") from error
    found = config.get("model_type")
    if model_types and found not in model_types:
        raise ConfigError(
            f"{stage}: {path} holds a '{found}' model, not {' or '.join(sorted(model_types))}; "
            "set `model:` to one that is"
        )
    if weights and not any(path.glob("*.safetensors")):
        raise ConfigError(
            f"{stage}: {path} has no *.safetensors weights; other formats are not loaded. "
            "Choose a `revision:` that has them, or convert the model with save_pretrained(safe_serialization=True)"
        )


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
