"""The files of a source: on this machine by their paths, or in a data set of the Hugging Face hub."""

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
    """`name`: as messages call it. `stamp`: another one is another file. `commit`: of the hub's data set, or None."""

    name: str
    size: int
    stamp: str
    path: str
    commit: str | None = None


def files(recipe: Recipe) -> list[SourceFile]:
    """Return the files of a recipe's source, in the order they are read.

    Raises:
        ConfigError: a path matches no file, or the hub cannot be asked or has no such data set."""
    return _on_hub(recipe) if recipe.source.kind == "hub" else _here(recipe)


@contextmanager
def local(recipe: Recipe, file: SourceFile, folder: Path) -> Iterator[Path]:
    """Give the path of a file here; one of the hub is fetched into `folder`, and removed after.

    Raises:
        ConfigError: it cannot be fetched."""
    if file.commit is None:
        yield Path(file.path)
        return
    path = _fetch(recipe, file, folder)
    try:
        yield path
    finally:
        path.unlink(missing_ok=True)  # one at a time: the files of a Wikipedia are many gigabytes


def _here(recipe: Recipe) -> list[SourceFile]:
    found: list[SourceFile] = []
    for pattern in recipe.source.paths:
        matching = map(Path, glob.glob(pattern, recursive=True))  # noqa: PTH207  patterns are absolute
        paths = sorted(path for path in matching if not path.is_dir())
        if not paths:
            raise ConfigError(
                f"recipe '{recipe.name}': no file at source path '{pattern}'; paths are beside the recipe, "
                "and of a folder they name the files (folder/*.jsonl)"
            )
        stats = [(path, path.stat()) for path in paths]
        found += [SourceFile(str(path), stat.st_size, str(stat.st_mtime_ns), str(path)) for path, stat in stats]
    return found


def _on_hub(recipe: Recipe) -> list[SourceFile]:
    source = recipe.source
    at = f"data set '{source.dataset}'" + (f" at revision '{source.revision}'" if source.revision else "")
    try:
        from huggingface_hub import HfApi

        info = HfApi().dataset_info(str(source.dataset), revision=source.revision, files_metadata=True)
    except ModuleNotFoundError as error:
        raise ConfigError(not_installed(f"the source of recipe '{recipe.name}'", error)) from error
    except Exception as error:  # not OSError alone: errors of its HTTP client come through too
        raise ConfigError(
            f"recipe '{recipe.name}': the hub cannot be asked for {at} ({_words(error)}); check `dataset:`, "
            "`revision:` and the connection, then run the same command again"
        ) from error
    sizes = {file.rfilename: (file.size or 0, str(file.blob_id)) for file in info.siblings or []}
    found: list[SourceFile] = []
    for pattern in source.paths:
        matching = sorted(name for name in sizes if fnmatch.fnmatchcase(name, pattern))
        if not matching:
            raise ConfigError(
                f"recipe '{recipe.name}': {at} has no file '{pattern}' among its {len(sizes)}; correct `path:`"
            )
        for name in matching:
            size, stamp = sizes[name]
            found.append(SourceFile(f"{source.dataset}/{name}", size, stamp, name, str(info.sha)))
    return found


def _fetch(recipe: Recipe, file: SourceFile, folder: Path) -> Path:
    from huggingface_hub import hf_hub_download

    folder.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(folder).free
    if file.size > free:
        raise ConfigError(
            f"recipe '{recipe.name}': {file.name} has {file.size / 1e9:,.1f} GB to fetch and {folder} has "
            f"{free / 1e9:,.1f} GB left; free some, then run the same command again"
        )
    try:
        return Path(
            hf_hub_download(
                str(recipe.source.dataset), file.path, repo_type="dataset", revision=file.commit, local_dir=folder
            )
        )
    except Exception as error:
        raise ConfigError(
            f"recipe '{recipe.name}': {file.name} could not be fetched ({_words(error)}); what is built is kept, run "
            "the same command again where the hub can be reached"
        ) from error


def _words(error: Exception) -> str:
    line = next((line.strip() for line in str(error).splitlines() if line.strip()), "no message")
    return f"{type(error).__name__}: {line}"
