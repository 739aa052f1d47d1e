"""The Hugging Face hub: what of a repository is needed, whether the local cache has it, and fetching it."""

from __future__ import annotations

import fnmatch
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from qttrag.errors import ConfigError, not_installed

if TYPE_CHECKING:
    from huggingface_hub.hf_api import ModelInfo

COMMIT = re.compile(r"[0-9a-f]{40}")
_SMALL = ["*.json", "*.jinja", "*.txt", "*.model"]  # configurations, tokenizers, sentencepiece, poolings
_COPIES = ["onnx/*", "openvino/*", "original/*", "consolidated*"]  # the same weights again, laid out for others
_OTHER_WEIGHTS = (".bin", ".pt", ".pth", ".h5", ".msgpack", ".onnx", ".gguf")


class Fetched(NamedTuple):
    """A folder in the local cache, named by its commit. `new`: some of it was not there before."""

    path: Path
    new: bool


def cached(model: str, revision: str | None, *, weights: bool = True) -> Path | None:
    """Return the folder of `model` in the local cache, or None if it is not there or is known to lack a file.

    `weights` off: the tokenizer is enough."""
    _require()
    from huggingface_hub import snapshot_download

    wanted = _patterns(weights=weights)
    try:
        return Path(
            snapshot_download(
                model, revision=revision, allow_patterns=wanted, ignore_patterns=_COPIES, local_files_only=True
            )
        )
    except (OSError, ValueError):
        return None


def fetch(stage: str, model: str, revision: str | None, *, weights: bool = True) -> Fetched:
    """Fetch what the local cache lacks of `model` at `revision` (None: main); files fetched before are kept.

    Raises:
        ConfigError: there is no such model or revision, it may not be read, it has no safetensors weights, it
            does not fit on the disk, or the hub cannot be reached."""
    _require()
    from huggingface_hub import HfApi, snapshot_download

    wanted = _patterns(weights=weights)
    try:
        info = HfApi().model_info(model, revision=revision, files_metadata=True)
        before = cached(model, info.sha, weights=weights)
        if before is None:
            _check(stage, info, revision, weights=weights)
        path = snapshot_download(model, revision=revision, allow_patterns=wanted, ignore_patterns=_COPIES)
    except ConfigError:
        raise
    except Exception as error:  # not OSError alone: errors of its HTTP client and of its storage come through too
        raise ConfigError(f"{stage}: {_explain(model, revision, error, weights=weights)}") from error
    return Fetched(Path(path), new=before is None)


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
    """Refuse, before anything is fetched, what could not be used or not be stored."""
    from huggingface_hub.constants import HF_HUB_CACHE

    sizes = {file.rfilename: file.size or 0 for file in info.siblings or []}
    wanted = [name for name in sizes if _matches(name, _patterns(weights=weights)) and not _matches(name, _COPIES)]
    at = f"model '{info.id}' at revision '{revision or 'main'}'"
    if weights and not any(name.endswith(".safetensors") and "/" not in name for name in wanted):
        others = [name for name in sizes if name.endswith(_OTHER_WEIGHTS)]
        raise ConfigError(
            f"{stage}: {at} has no *.safetensors weights (but {', '.join(others[:3]) or 'none'}); other formats are "
            "not loaded. Set `revision:` to one that has them (hub repositories often have a conversion under "
            "refs/pr/N), or save them with save_pretrained to a folder and set `model:` to that"
        )
    cache = Path(HF_HUB_CACHE).absolute()
    disk = next(each for each in (cache, *cache.parents) if each.exists())
    needed, free = sum(sizes[name] for name in wanted), shutil.disk_usage(disk).free
    if needed > free:
        raise ConfigError(
            f"{stage}: {at} has {needed / 1e9:,.1f} GB to fetch and {disk} has {free / 1e9:,.1f} GB left; "
            "free some, or set HF_HOME to a folder on a larger disk"
        )


def _explain(model: str, revision: str | None, error: Exception, *, weights: bool) -> str:
    from huggingface_hub import errors

    if isinstance(error, errors.GatedRepoError):
        return (
            f"model '{model}' is gated; accept its terms on its page of the Hugging Face hub, then set HF_TOKEN to a "
            "token of the account that did (or log in: hf auth login)"
        )
    if isinstance(error, errors.RepositoryNotFoundError):
        return (
            f"the Hugging Face hub has no model '{model}', or it is private; correct `model:`, "
            "or set HF_TOKEN to a token that may read it"
        )
    if isinstance(error, errors.RevisionNotFoundError):
        return f"model '{model}' has no revision '{revision}'; correct `revision:`, or remove it to take the newest"
    words = next((line.strip() for line in str(error).splitlines() if line.strip()), "no message")
    kept = cached(model, revision, weights=weights)
    way_out = "set `model:` to a local folder" if kept is None else f"keep to the cached `revision: {kept.name}`"
    return (
        f"model '{model}' could not be fetched ({type(error).__name__}: {words}); "
        f"try again where the hub can be reached (what is there already is kept), or {way_out}"
    )
