"""Lists the files of a source: local paths, or files of a data set on the Hugging Face hub."""

from __future__ import annotations

import fnmatch
import glob
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from qttrag.errors import ConfigError, not_installed
from qttrag.indexes.recipe import Recipe


class SourceFile(NamedTuple):
    """A file of a source. `name`: for messages. `stamp`: changes with the file's contents. `commit`: of the data set on
    the hub; None for a local file."""

    name: str
    size: int
    stamp: str
    path: str
    commit: str | None = None


def files(recipe: Recipe) -> list[SourceFile]:
    """Return the files of a recipe's source, in reading order.

    Raises:
        ConfigError: a path matches no file, the hub is unavailable or has no such data set."""
    return _hub_files(recipe) if recipe.source.kind == "hub" else _local_files(recipe)


@contextmanager
def local_copy(recipe: Recipe, file: SourceFile, folder: Path) -> Iterator[Path]:
    """Yield the local path of a file. A file on the hub is downloaded into `folder` and deleted afterwards.

    Raises:
        ConfigError: the download failed."""
    if file.commit is None:
        yield Path(file.path)
        return
    path = _download(recipe, file, folder)
    try:
        yield path
    finally:
        path.unlink(missing_ok=True)  # one at a time: the files of a Wikipedia take many gigabytes


def _local_files(recipe: Recipe) -> list[SourceFile]:
    files: list[SourceFile] = []
    for pattern in recipe.source.paths:
        matches = map(Path, glob.glob(pattern, recursive=True))  # noqa: PTH207  patterns are absolute
        paths = sorted(path for path in matches if not path.is_dir())
        if not paths:
            raise ConfigError(
                f"recipe '{recipe.name}': no file at source path '{pattern}'; paths are relative to the recipe, and "
                "the files of a folder need a pattern (folder/*.jsonl)"
            )
        stats = [(path, path.stat()) for path in paths]
        files += [SourceFile(str(path), stat.st_size, str(stat.st_mtime_ns), str(path)) for path, stat in stats]
    return files


def _hub_files(recipe: Recipe) -> list[SourceFile]:
    source = recipe.source
    dataset = f"data set '{source.dataset}'" + (f" at revision '{source.revision}'" if source.revision else "")
    try:
        from huggingface_hub import HfApi

        info = HfApi().dataset_info(str(source.dataset), revision=source.revision, files_metadata=True)
    except ModuleNotFoundError as error:
        raise ConfigError(not_installed(f"the source of recipe '{recipe.name}'", error)) from error
    except Exception as error:  # not OSError alone: errors of its HTTP client are not wrapped
        raise ConfigError(
            f"recipe '{recipe.name}': the hub did not list {dataset} ({_describe(error)}); check `dataset:`, "
            "`revision:` and the connection, then run the same command again"
        ) from error
    sizes = {file.rfilename: (file.size or 0, str(file.blob_id)) for file in info.siblings or []}
    files: list[SourceFile] = []
    for pattern in source.paths:
        matches = sorted(name for name in sizes if fnmatch.fnmatchcase(name, pattern))
        if not matches:
            raise ConfigError(
                f"recipe '{recipe.name}': {dataset} has no file '{pattern}' among its {len(sizes)}; correct `path:`"
            )
        for name in matches:
            size, stamp = sizes[name]
            files.append(SourceFile(f"{source.dataset}/{name}", size, stamp, name, str(info.sha)))
    return files


def _download(recipe: Recipe, file: SourceFile, folder: Path) -> Path:
    from huggingface_hub import hf_hub_download

    folder.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(folder).free
    if file.size > free:
        raise ConfigError(
            f"recipe '{recipe.name}': the download of {file.name} needs {file.size / 1e9:,.1f} GB and {folder} has "
            f"{free / 1e9:,.1f} GB free; free some, then run the same command again"
        )
    try:
        return Path(
            hf_hub_download(
                str(recipe.source.dataset), file.path, repo_type="dataset", revision=file.commit, local_dir=folder
            )
        )
    except Exception as error:
        raise ConfigError(
            f"recipe '{recipe.name}': the download of {file.name} failed ({_describe(error)}); finished work is kept, "
            "run the same command again when the hub is reachable"
        ) from error


def _describe(error: Exception) -> str:
    line = next((line.strip() for line in str(error).splitlines() if line.strip()), "no message")
    return f"{type(error).__name__}: {line}"
