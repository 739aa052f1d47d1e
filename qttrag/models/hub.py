"""The Hugging Face hub: the needed files of a repository, the local cache, and downloads."""

from __future__ import annotations

import fnmatch
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from qttrag.errors import ConfigError, describe, not_installed

if TYPE_CHECKING:
    from huggingface_hub.hf_api import ModelInfo

COMMIT = re.compile(r"[0-9a-f]{40}")
_SMALL = ["*.json", "*.jinja", "*.txt", "*.model", "*.spm"]  # configurations, tokenizers, sentencepiece, poolings
_COPIES = ["onnx/*", "openvino/*", "original/*", "consolidated*"]  # the same weights in formats of other libraries
_OTHER_WEIGHTS = (".bin", ".pt", ".pth", ".h5", ".msgpack", ".onnx", ".gguf")


class Fetched(NamedTuple):
    """A folder in the local cache, named by its commit. `new`: at least one file was downloaded now."""

    path: Path
    new: bool


def cached(model: str, revision: str | None, *, weights: bool = True) -> Path | None:
    """Return the folder of `model` in the local cache, or None if it is absent or known to be incomplete.

    `weights`: False if the tokenizer is enough."""
    _require()
    from huggingface_hub import snapshot_download

    patterns = _patterns(weights=weights)
    try:
        return Path(
            snapshot_download(
                model, revision=revision, allow_patterns=patterns, ignore_patterns=_COPIES, local_files_only=True
            )
        )
    except (OSError, ValueError):
        return None


def fetch(stage: str, model: str, revision: str | None, *, weights: bool = True) -> Fetched:
    """Download the files of `model` at `revision` (None: main) that are not in the local cache.

    Raises:
        ConfigError: the model or revision does not exist, access is denied, it has no safetensors weights, it does
            not fit on the disk, or the hub cannot be reached."""
    _require()
    from huggingface_hub import HfApi, snapshot_download

    patterns = _patterns(weights=weights)
    try:
        info = HfApi().model_info(model, revision=revision, files_metadata=True)
        before = cached(model, info.sha, weights=weights)
        if before is None:
            _check(stage, info, revision, weights=weights)
        path = snapshot_download(model, revision=revision, allow_patterns=patterns, ignore_patterns=_COPIES)
    except ConfigError:
        raise
    except Exception as error:  # not only OSError: the library also raises errors of its HTTP client and storage
        raise ConfigError(f"{stage}: {_explain(model, revision, error, weights=weights)}") from error
    return Fetched(Path(path), new=before is None)


def file(stage: str, model: str, name: str, revision: str | None, *, local_only: bool) -> Path:
    """Return a file of `model` at `revision` (None: main), from the local cache or downloaded.

    Raises:
        ConfigError: it is not in the cache and `local_only`, it does not exist, or the hub cannot be reached."""
    _require()
    from huggingface_hub import errors, hf_hub_download

    if path := _cached_file(model, name, revision):
        return path
    if local_only:
        at = f" at revision '{revision}'" if revision else ""
        raise ConfigError(
            f"{stage}: '{name}' of model '{model}'{at} is not in the local cache; "
            "fetch it: qttrag models pull DEPLOYMENT"
        )
    try:
        return Path(hf_hub_download(model, name, revision=revision))
    except errors.EntryNotFoundError as error:
        raise ConfigError(f"{stage}: model '{model}' has no file '{name}'; correct `file:`") from error
    except Exception as error:
        raise ConfigError(f"{stage}: {_explain(model, revision, error, weights=True)}") from error


def has_file(model: str, name: str | None, revision: str | None) -> bool:
    """Return whether a file of `model` is in the local cache."""
    _require()
    return name is not None and _cached_file(model, name, revision) is not None


def snapshot(path: Path, name: str) -> Path:
    """Return the folder, named by its commit, of a file in the local cache. `name`: the file's in its repository."""
    return path.parents[len(Path(name).parts) - 1]


def _cached_file(model: str, name: str, revision: str | None) -> Path | None:
    from huggingface_hub import hf_hub_download

    try:
        return Path(hf_hub_download(model, name, revision=revision, local_files_only=True))
    except (OSError, ValueError):
        return None


def _require() -> None:
    try:
        import huggingface_hub  # noqa: F401
    except ModuleNotFoundError as error:
        raise ConfigError(not_installed("a model of the Hugging Face hub", error)) from error


def _patterns(*, weights: bool) -> list[str]:
    return ["*.safetensors", *_SMALL] if weights else _SMALL


def _matches(name: str, patterns: list[str]) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


def _check(stage: str, info: ModelInfo, revision: str | None, *, weights: bool) -> None:
    """Reject a model that cannot be used or stored, before anything is downloaded."""
    from huggingface_hub.constants import HF_HUB_CACHE

    sizes = {file.rfilename: file.size or 0 for file in info.siblings or []}
    needed = [name for name in sizes if _matches(name, _patterns(weights=weights)) and not _matches(name, _COPIES)]
    at = f"model '{info.id}' at revision '{revision or 'main'}'"
    if weights and not any(name.endswith(".safetensors") and "/" not in name for name in needed):
        others = [name for name in sizes if name.endswith(_OTHER_WEIGHTS)]
        raise ConfigError(
            f"{stage}: {at} has no *.safetensors weights (it has {', '.join(others[:3]) or 'none'}); other formats "
            "are not supported. Set `revision:` to one with safetensors (repositories often have a conversion under "
            "refs/pr/N), or save the model with save_pretrained to a folder and set `model:` to it"
        )
    cache = Path(HF_HUB_CACHE).absolute()
    folder = next(path for path in (cache, *cache.parents) if path.exists())
    size, free = sum(sizes[name] for name in needed), shutil.disk_usage(folder).free
    if size > free:
        raise ConfigError(
            f"{stage}: {at} needs {size / 1e9:,.1f} GB and {folder} has {free / 1e9:,.1f} GB of free space; "
            "free some, or set HF_HOME to a folder on a larger disk"
        )


def _explain(model: str, revision: str | None, error: Exception, *, weights: bool) -> str:
    from huggingface_hub import errors

    if isinstance(error, errors.GatedRepoError):
        return (
            f"model '{model}' is gated; accept its terms on its page of the Hugging Face hub, then set HF_TOKEN to a "
            "token of that account (or log in: hf auth login)"
        )
    if isinstance(error, errors.RepositoryNotFoundError):
        return (
            f"the Hugging Face hub has no model '{model}', or it is private; correct `model:`, "
            "or set HF_TOKEN to a token with access"
        )
    if isinstance(error, errors.RevisionNotFoundError):
        return f"model '{model}' has no revision '{revision}'; correct `revision:`, or remove it for the newest"
    folder = cached(model, revision, weights=weights)
    remedy = "set `model:` to a local folder" if folder is None else f"use the cached `revision: {folder.name}`"
    return (
        f"model '{model}' could not be downloaded ({describe(error)}); "
        f"try again when the hub can be reached (downloaded files are kept), or {remedy}"
    )
