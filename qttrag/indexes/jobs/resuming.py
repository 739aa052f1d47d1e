"""Runs a build so that finished shards survive any failure and the same command resumes it."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from qttrag import resources
from qttrag.errors import CollectionError, ConfigError, StageError
from qttrag.indexes.recipe import Recipe
from qttrag.indexes.storage.locking import exclusive_lock
from qttrag.indexes.storage.manifest import Manifest, read_manifest
from qttrag.indexes.storage.workspace import BuildWorkspace

_NO_SPACE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS}
_NO_PERMISSION = {errno.EACCES, errno.EPERM}


def build_in_workspace(
    recipe: Recipe, build: Callable[[BuildWorkspace], Manifest], *, overwrite: bool, restart: bool
) -> Manifest:
    """Return the manifest of the index that `build` makes, under an exclusive lock on the index of the recipe's name.

    The workspace of an interrupted build is passed to it again, unless `restart`.

    Raises:
        CollectionError: the index exists and `overwrite` is off, or another process is building it."""
    target = resources.built_folder() / recipe.name
    create_folder(target.parent)
    with exclusive_lock(target):
        workspace = BuildWorkspace(target)
        published = workspace.recover()
        if restart:
            workspace.remove()
        elif published and (manifest := read_manifest(target)).recipe_digest == recipe.digest:
            return manifest  # it was killed after publishing, before its workspace was removed
        if target.exists() and not overwrite:
            raise CollectionError(f"index '{recipe.name}' already exists ({target}); replace it with --overwrite")
        with keep_finished_shards(workspace):
            return build(workspace)


@contextmanager
def keep_finished_shards(workspace: BuildWorkspace) -> Iterator[None]:
    """If the block fails, keep only finished shards, and say how to continue after a full disk or a failed encoder.

    Raises:
        CollectionError: the index cannot be written. StageError: the encoder failed."""
    try:
        yield
    except BaseException as error:
        rows = _clean_up(workspace)
        if isinstance(error, OSError) and _is_write_error(error, workspace):
            raise CollectionError(
                f"index '{workspace.target.name}': cannot write {error.filename or workspace.folder} "
                f"({error.strerror}); {rows:,} passages are finished and kept: free disk space or restore write "
                "access, then run the same command again"
            ) from error
        if isinstance(error, StageError) and rows:
            message = str(error).removeprefix(f"{error.stage}: ")
            raise type(error)(
                error.stage, f"{message}. {rows:,} passages are finished and kept; run the same command again"
            ) from error
        raise


def create_folder(path: Path) -> None:
    """Create the folder of built indexes.

    Raises:
        ConfigError: it cannot be created."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(
            f"{error.filename}: {error.strerror}; indexes are built in {path}, set QTTRAG_HOME to a writable folder"
        ) from error


def _is_write_error(error: OSError, workspace: BuildWorkspace) -> bool:
    """Return whether writing the index failed, and not reading its source."""
    inside = isinstance(error.filename, str) and Path(error.filename).is_relative_to(workspace.target.parent)
    return error.errno in _NO_SPACE or (error.errno in _NO_PERMISSION and inside)


def _clean_up(workspace: BuildWorkspace) -> int:
    """Return the number of passages in finished shards; remove everything else."""
    with suppress(OSError, CollectionError):
        journal = workspace.read_journal()
        if journal.shards:
            workspace.remove_orphans(journal)
            return journal.rows
        workspace.remove()
    return 0
