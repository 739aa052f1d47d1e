"""Models converted to CTranslate2's format, once, in the cache folder."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

from qttrag import resources
from qttrag.errors import ConfigError
from qttrag.models.loading import LocatedModel


def converted(stage: str, located: LocatedModel, stored: str, convert: Callable[[Path], None]) -> Path:
    """Return the folder with a checkpoint in another format, written by `convert` in this or an earlier call.

    `stored`: the type of its weights, part of the folder's name. Several processes may call this, and a killed one
    leaves no half model: one process converts, to a temporary folder that it renames.

    Raises:
        ConfigError: the cache folder cannot be written."""
    import filelock

    name = re.sub(r"[^\w.-]+", "-", f"{_name(located.path)}-{located.revision}-{stored}")
    folder = resources.cache_folder() / "ctranslate2" / name
    if folder.is_dir():
        return folder
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(folder.with_name(f"{name}.lock")):  # released when its holder dies
            if not folder.is_dir():
                partial = folder.with_name(f"{name}.partial")
                shutil.rmtree(partial, ignore_errors=True)  # from a killed process
                convert(partial)
                partial.rename(folder)
    except OSError as error:
        raise ConfigError(f"{stage}: cannot write {folder}: {error}; set QTTRAG_HOME to a folder with room") from error
    return folder


def _name(path: Path) -> str:
    repository = next((part for part in path.parts if part.startswith("models--")), "")
    return repository.removeprefix("models--") or path.name
