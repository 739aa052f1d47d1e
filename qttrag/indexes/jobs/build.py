"""Builds the index of a recipe. An unfinished index is never published, and encoded passages are never lost."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from qttrag.errors import InputError
from qttrag.indexes.ann import inverted_list_parts, training
from qttrag.indexes.jobs.encoding import encode_source
from qttrag.indexes.jobs.index_job import (
    IndexJob,
    Progress,
    complete,
    ignore_progress,
    settings_fingerprint,
    write_index,
)
from qttrag.indexes.jobs.resuming import build_in_workspace
from qttrag.indexes.jobs.workers import EncoderPool, OpenEncoder, load_passage_encoders
from qttrag.indexes.recipe import Recipe
from qttrag.indexes.sources import listing
from qttrag.indexes.sources.listing import SourceFile
from qttrag.indexes.sources.records import READER_VERSION, OnError
from qttrag.indexes.storage.manifest import Manifest
from qttrag.indexes.storage.workspace import BuildWorkspace


def build(
    recipe: Recipe,
    *,
    open_encoder: OpenEncoder,
    overwrite: bool = False,
    restart: bool = False,
    on_error: OnError = "stop",
    progress: Callable[[Progress], None] = ignore_progress,
    list_part_rows: int = inverted_list_parts.ROWS,
) -> Manifest:
    """Build the index of a recipe under `resources.built_folder()` and return its manifest.

    A build that fails or is killed leaves the published index unchanged and keeps its finished shards: the same call
    resumes it. `restart` discards them first. `overwrite` replaces an existing index, at the end.

    Raises:
        CollectionError: the index exists and `overwrite` is off, another process is building it, it is half built with
            other settings, or the disk is full.
        InputError: a record is invalid and `on_error` is "stop"; or there is no passage at all.
        ConfigError: the source, encoder or FAISS factory string is invalid; a library is not installed."""

    def work(workspace: BuildWorkspace) -> Manifest:
        owner = f"the encoder of recipe '{recipe.name}'"
        with load_passage_encoders(recipe, owner=owner, open_encoder=open_encoder) as encoders:
            training.check(recipe, encoders.info.dim)
            files = listing.files(recipe)
            journal = workspace.begin(fingerprint(recipe, encoders.info.revision, files))
            job = IndexJob(recipe, workspace, journal, progress, list_part_rows)
            return complete(job, lambda: _write(job, encoders, files, on_error))

    return build_in_workspace(recipe, work, overwrite=overwrite, restart=restart)


def _write(job: IndexJob, encoders: EncoderPool, files: Sequence[SourceFile], on_error: OnError) -> Manifest:
    skipped = encode_source(job, encoders, files, on_error=on_error)
    if not job.journal.shards:
        note = f" ({skipped.total()} records were skipped)" if skipped else ""
        raise InputError(f"recipe '{job.recipe.name}' gives no passages{note}; check its source")
    return write_index(job, encoders.info, skipped)


def fingerprint(recipe: Recipe, encoder_revision: str, files: Sequence[SourceFile]) -> dict[str, Any]:
    """Return everything that every shard of an index depends on."""
    return {
        **settings_fingerprint(recipe),
        "encoder revision": encoder_revision,
        "reading": READER_VERSION,
        "files": file_stamps(files),
    }


def file_stamps(files: Sequence[SourceFile]) -> dict[str, str]:
    """Return the fingerprint of source files by name."""
    return {file.name: f"{file.size} bytes ({file.stamp})" for file in files}
