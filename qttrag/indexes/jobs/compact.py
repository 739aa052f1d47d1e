"""Rewrites an index from its own files, without removed passages and with a FAISS index trained on all the others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from qttrag.encoders import language_means
from qttrag.errors import CollectionError
from qttrag.indexes.collection import Collection, find, open_index
from qttrag.indexes.jobs.index_job import IndexJob, Progress, ignore_progress, write_index
from qttrag.indexes.jobs.measure_means import means_of
from qttrag.indexes.jobs.resuming import keep_finished_shards
from qttrag.indexes.recipe import Recipe
from qttrag.indexes.sources.records import SourcePosition
from qttrag.indexes.storage.document_registry import read_registry
from qttrag.indexes.storage.locking import exclusive_lock
from qttrag.indexes.storage.manifest import MANIFEST_FILE, Manifest, checksum, has_registry, read_manifest
from qttrag.indexes.storage.shards import ShardWriter
from qttrag.indexes.storage.workspace import BuildWorkspace
from qttrag.types import EncoderInfo

_BATCH_ROWS = 4096  # rows copied at once


def compact(name: str, *, restart: bool = False, progress: Callable[[Progress], None] = ignore_progress) -> Manifest:
    """Rewrite an index without its removed passages and return its manifest.

    Nothing is encoded; the FAISS index is chosen (if the recipe says auto) and trained for the remaining passages.
    Means of languages are measured again where the index has them. If nothing was removed or appended, nothing is done.
    It needs as much free disk as the index takes; the published index stays unchanged until the end, and the same call
    resumes an interrupted one. `restart` starts over.

    Raises:
        CollectionError: the index is missing, damaged, empty or locked, or the disk is full."""
    folder = find(name).folder.resolve()
    with exclusive_lock(folder):
        workspace = BuildWorkspace(folder, "compacting")
        workspace.recover()
        if restart:
            workspace.remove()
        collection = open_index(str(folder), threads=1)
        if not is_needed(collection.manifest):
            workspace.remove()
            return collection.manifest
        if not collection.manifest.langs:
            raise CollectionError(
                f"index '{folder.name}' has no passage left; append some, or delete its folder {folder}"
            )
        with keep_finished_shards(workspace):
            return _compact(collection, workspace, progress)


def is_needed(manifest: Manifest) -> bool:
    """Return whether passages were removed or appended since the index was written as a whole."""
    return manifest.removed > 0 or not all(addition.folded for addition in manifest.appended)


def _compact(collection: Collection, workspace: BuildWorkspace, progress: Callable[[Progress], None]) -> Manifest:
    before = collection.manifest
    journal = workspace.begin({"index": checksum(workspace.target / MANIFEST_FILE).sha256})
    if not journal.manifest_sha256:
        workspace.remove_orphans(journal)
        job = IndexJob(Recipe(**before.recipe), workspace, journal, progress)
        _copy(collection, job)
        after = write_index(job, _encoder_info(before, job.recipe), Counter(before.skipped))
        appended = [addition.model_copy(update={"folded": True}) for addition in before.appended]
        files = after.files
        if has_registry(before.files):
            files = read_registry(workspace.target, before).write(workspace.index, files)
        if any(file.startswith(language_means.PREFIX) for file in before.files):
            path = means_of(collection).write(workspace.index)
            files = {**files, path.name: checksum(path)}
        after.model_copy(
            update={
                "truncated": before.truncated,
                "repaired": before.repaired,
                "appended": appended,
                "files": files,
            }
        ).write(workspace.index)
    workspace.publish(journal)
    return read_manifest(workspace.target)


def _encoder_info(manifest: Manifest, recipe: Recipe) -> EncoderInfo:
    return EncoderInfo(recipe.encoder.model, manifest.encoder_revision, manifest.dim, recipe.encoder.max_tokens)


def _copy(collection: Collection, job: IndexJob) -> None:
    """Copy the remaining rows that are not copied yet, in order."""
    rows, in_shard = collection.passages.remaining_rows(), 0
    places, sparse = collection.passages.has_places, job.recipe.sparse
    shards = ShardWriter(job.workspace, job.journal, collection.manifest.dim, has_places=places, sparse=sparse)
    for start in range(job.journal.rows, len(rows), _BATCH_ROWS):
        batch = rows[start : start + _BATCH_ROWS]
        weights = None if collection.weights is None else collection.weights.take(batch)
        shards.append(collection.passages.take(batch), collection.vectors.stored(batch), weights=weights)
        in_shard += len(batch)
        done = start + len(batch)
        if in_shard >= job.recipe.shard_rows or done == len(rows):
            shards.close(SourcePosition(0, done))
            in_shard = 0
        job.progress(Progress("copy", done, done / len(rows)))
