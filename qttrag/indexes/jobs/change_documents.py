"""Changes the documents of an index: adds, replaces and removes them, all in one new version of the index.

Reading comes first; then the passages of new documents are encoded as in a build. The published index stays unchanged
until the end, when the new version replaces it in one step. An interrupted change begins anew; shards of passages that
were encoded are kept while the same documents are to be added."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from qttrag import resources
from qttrag.errors import CollectionError
from qttrag.indexes.collection import open_index
from qttrag.indexes.jobs.append import BaseIndex, check_revision, check_settings, extended_manifest
from qttrag.indexes.jobs.build import fingerprint
from qttrag.indexes.jobs.document_reading import (
    DocumentOutcome,
    NewDocument,
    ReadDocuments,
    read_documents,
)
from qttrag.indexes.jobs.encoding import encode_source
from qttrag.indexes.jobs.index_job import IndexJob, Progress, ignore_progress, write_index
from qttrag.indexes.jobs.remove import mark_removed
from qttrag.indexes.jobs.resuming import create_folder, keep_finished_shards
from qttrag.indexes.jobs.workers import EncoderPool, OpenEncoder, load_passage_encoders
from qttrag.indexes.recipe import Recipe
from qttrag.indexes.sources.records import SourcePosition
from qttrag.indexes.storage.document_registry import DocumentRegistry, read_registry
from qttrag.indexes.storage.journal import Journal
from qttrag.indexes.storage.locking import exclusive_lock
from qttrag.indexes.storage.manifest import Addition, Manifest, read_manifest
from qttrag.indexes.storage.passage_ids import rows_of
from qttrag.indexes.storage.passages import Passages
from qttrag.indexes.storage.shards import ShardWriter
from qttrag.indexes.storage.tombstones import read_removed
from qttrag.indexes.storage.workspace import BuildWorkspace

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class DocumentChanges(NamedTuple):
    """`add`: new documents, and new versions of documents of the same name. `remove`: names."""

    add: Sequence[NewDocument] = ()
    remove: Collection[str] = ()


Plan = Callable[[DocumentRegistry], DocumentChanges]
"""Returns the changes to an index, given its documents; called while no other process can change it."""


class ChangeProgress(NamedTuple):
    """What is called during a change. `planned`: with the changes, before the first document is read."""

    planned: Callable[[DocumentChanges], None] = lambda changes: None
    document: Callable[[DocumentOutcome], None] = lambda outcome: None
    passages: Callable[[Progress], None] = ignore_progress


class Changed(NamedTuple):
    """The index after a change. `manifest`: None if there is no index, as no document could be read."""

    manifest: Manifest | None
    registry: DocumentRegistry


def change_documents(
    recipe: Recipe,
    plan: Plan,
    *,
    open_encoder: OpenEncoder,
    progress: ChangeProgress = ChangeProgress(),  # noqa: B008  immutable
    uploads: bool = False,
) -> Changed:
    """Change the documents of the index of a recipe, and make the index if there is none.

    A document that cannot be read is recorded with its error; an earlier version of it stays. `uploads`: the documents
    are not the files of a folder that is read again: errors are not recorded, and an index without documents is made,
    too, so that it can be searched before the first one comes.

    Raises:
        CollectionError: the index is damaged or locked, was built with other settings, or the disk is full.
        ConfigError: the encoder or FAISS factory string is invalid, or a library is not installed."""
    target = resources.built_folder() / recipe.name
    create_folder(target.parent)
    with exclusive_lock(target):
        BuildWorkspace(target).recover()
        base = _base(recipe, target) if target.exists() else None
        registry = DocumentRegistry() if base is None else read_registry(base.folder, base.manifest)
        changes = plan(registry)
        progress.planned(changes)
        if not (changes.add or changes.remove) and (base is not None or not uploads):
            return Changed(base and base.manifest, registry)
        first_shard = 0 if base is None else base.shards
        workspace = BuildWorkspace(target, "building" if base is None else "appending", first_shard=first_shard)
        if base is not None:
            workspace.recover()
        with keep_finished_shards(workspace):
            read = read_documents(
                recipe, changes.add, workspace.folder / "documents" / "passages.jsonl", progress.document
            )
            change = _Change(recipe, base, registry, changes, read, uploads)
            return change.publish(workspace, open_encoder, progress.passages)


def _base(recipe: Recipe, folder: Path) -> BaseIndex:
    manifest = open_index(str(folder), threads=1).manifest
    check_settings(manifest, recipe)
    return BaseIndex(folder, manifest, Passages(folder, read_removed(folder, manifest.files, manifest.rows)))


class _Change(NamedTuple):
    """A change whose new documents have been read. `base`: None for a new index."""

    recipe: Recipe
    base: BaseIndex | None
    registry: DocumentRegistry
    changes: DocumentChanges
    read: ReadDocuments
    uploads: bool

    def publish(
        self, workspace: BuildWorkspace, open_encoder: OpenEncoder, progress: Callable[[Progress], None]
    ) -> Changed:
        """Encode the new passages and publish the new version of the index."""
        has_changes = self.read.indexed or self.changes.remove or (self.read.failed and not self.uploads)
        if (self.base is None and not self.read.indexed and not self.uploads) or (self.base and not has_changes):
            workspace.remove()
            return Changed(self.base and self.base.manifest, self._registry_after())
        owner = f"the encoder of '{self.recipe.name}'"
        if self.base is not None and not self.read.indexed:
            self._write(workspace, None, progress)
        else:
            with load_passage_encoders(self.recipe, owner=owner, open_encoder=open_encoder) as encoders:
                self._write(workspace, encoders, progress)
        return Changed(read_manifest(workspace.target), self._registry_after())

    def _write(
        self, workspace: BuildWorkspace, encoders: EncoderPool | None, progress: Callable[[Progress], None]
    ) -> None:
        revision = "" if encoders is None else encoders.info.revision
        if self.base is not None and encoders is not None:
            check_revision(self.base.manifest, self.recipe, revision)
        job = IndexJob(self.recipe, workspace, self._begin(workspace, revision), progress)
        skipped = Counter[str]()
        if encoders is not None and self.read.indexed:
            skipped = encode_source(job, encoders, [self.read.file], on_error="stop")
        manifest = self._new_index(job, encoders, skipped) if self.base is None else self._next_version(job, self.base)
        files = self._registry_after().write(workspace.index, manifest.files)
        manifest.model_copy(update={"files": files}).write(workspace.index)
        workspace.publish(job.journal)

    def _begin(self, workspace: BuildWorkspace, revision: str) -> Journal:
        """Return the journal of an interrupted change if it had the same documents, else a new one."""
        settings = fingerprint(self.recipe, revision, [self.read.file])
        identity = "" if self.base is None else self.base.identity
        try:
            journal = workspace.begin({**settings, "index": identity})
        except CollectionError:  # other documents, or another version of the index
            documents = workspace.folder / "documents"
            kept = documents.rename(workspace.folder.with_name(f"{workspace.folder.name}.read"))
            workspace.remove()
            workspace.folder.mkdir()
            kept.rename(documents)
            journal = workspace.begin({**settings, "index": identity})
        journal.manifest_sha256 = ""
        workspace.remove_orphans(journal)
        return journal

    def _new_index(self, job: IndexJob, encoders: EncoderPool | None, skipped: Counter[str]) -> Manifest:
        assert encoders is not None  # noqa: S101  a new index has a model
        if not job.journal.shards:
            _write_empty_shard(job, encoders.info.dim)
        return write_index(job, encoders.info, skipped)

    def _next_version(self, job: IndexJob, base: BaseIndex) -> Manifest:
        manifest = extended_manifest(job, base, Counter())
        manifest = manifest.model_copy(update={"appended": _as_one(manifest.appended)})
        replaced = self._replaced_rows(base)
        if len(replaced):
            folder = job.workspace.index
            manifest = mark_removed(manifest, Passages(folder, base.passages.removed), replaced, folder)
        return manifest

    def _replaced_rows(self, base: BaseIndex) -> NDArray[np.int64]:
        """Return the rows of documents that are removed or have a new version."""
        names = {
            *self.changes.remove,
            *(document.name for document in self.read.indexed),
        } & self.registry.indexed.keys()
        return rows_of(base.passages, names, chunked=True, what="records").rows

    def _registry_after(self) -> DocumentRegistry:
        added = {document.name: document for document in self.read.indexed}
        failed = {} if self.uploads else {document.name: document for document in self.read.failed}
        gone = {*self.changes.remove}
        return DocumentRegistry(
            indexed={
                name: entry for name, entry in sorted({**self.registry.indexed, **added}.items()) if name not in gone
            },
            failed={
                name: entry
                for name, entry in sorted({**self.registry.failed, **failed}.items())
                if name not in gone and name not in added
            },
        )


def _write_empty_shard(job: IndexJob, dim: int) -> None:
    import numpy as np

    shards = ShardWriter(job.workspace, job.journal, dim, has_places=True)
    shards.append([], np.empty((0, dim), np.float32))
    shards.close(SourcePosition(0, 0))


def _as_one(additions: Sequence[Addition]) -> list[Addition]:
    """Return all unfolded additions as one: an index of documents changes often, and its documents have their dates."""
    open_ones = [addition for addition in additions if not addition.folded]
    if not open_ones:
        return list(additions)
    now = datetime.now(UTC).isoformat(timespec="seconds")
    return [open_ones[-1].model_copy(update={"at": now, "passages": sum(each.passages for each in open_ones)})]
