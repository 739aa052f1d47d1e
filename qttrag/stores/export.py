"""Writes a built index into a vector database. Nothing is encoded; readers see the earlier version until the end."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from qttrag import __version__
from qttrag.errors import CollectionError, StageUnavailable
from qttrag.indexes.collection import Collection, open_index
from qttrag.indexes.jobs.index_job import Progress, ignore_progress
from qttrag.indexes.storage.manifest import Manifest
from qttrag.indexes.storage.passages import passages_file
from qttrag.indexes.storage.token_weights import weights_file
from qttrag.indexes.storage.tombstones import PREFIX as REMOVED
from qttrag.indexes.storage.vectors import vectors_file
from qttrag.stores.database import StoredManifest
from qttrag.stores.faiss_folder import encoder_of
from qttrag.stores.versioned import Version, VersionedCollection, version_name, versions_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

T = TypeVar("T")
P = ParamSpec("P")
_BATCH = 500  # passages in one call: 2 MB of vectors of 1024 dimensions
_DELETED_AT_ONCE = 1000
_ATTEMPTS, _PATIENCE_S = 6, 60.0  # of a call while the database is unavailable


def export(
    name: str,
    store: VersionedCollection,
    *,
    update: bool = False,
    progress: Callable[[Progress], None] = ignore_progress,
) -> StoredManifest:
    """Write the built index `name` into a database, under the name of the store; return the manifest written.

    A new version is loaded beside the published one; the alias names it when it is complete, and earlier versions are
    deleted. The same call resumes an interrupted one; it repeats at most one shard of the index. A version with the
    same passages, vectors and index settings is left as it is. Learned weights of tokens are written, too.

    `update`: change the published version in place: store the shards appended since, delete removed passages. It is
    faster, but readers see some of the changes before others.

    Raises:
        CollectionError: the index is missing or damaged; with `update`, it was compacted or rebuilt since it was
            exported. InputError: a passage is too long for the database.
        ConfigError: a library is missing, or the key is refused. StageUnavailable: the database does not answer."""
    index = open_index(name, threads=1)
    job = _Export(index, store, progress)
    manifest = job.update() if update else job.replace()
    store.refresh()
    return manifest


def content_of(manifest: Manifest) -> str:
    """Return a digest of the passages, vectors and weights of a built index, and of what was removed from them."""
    names = _files(manifest, _shards(manifest))
    names += [file for file in manifest.files if file.startswith(REMOVED)]
    return _digest([manifest.encoder_revision, *(manifest.files[file].sha256 for file in names)])


def shards_digest(manifest: Manifest, shards: int) -> str:
    """Return a digest of the first shards of a built index."""
    return _digest([manifest.files[file].sha256 for file in _files(manifest, shards)])


def _files(manifest: Manifest, shards: int) -> list[str]:
    """Return the names of the files that the first shards have in a database."""
    kinds = (passages_file, vectors_file, *([weights_file] if manifest.recipe.get("sparse") else []))
    return [file(shard) for shard in range(shards) for file in kinds]


class _Export:
    """One export. Its calls are repeated while the database is unavailable, for up to a minute."""

    def __init__(self, index: Collection, store: VersionedCollection, progress: Callable[[Progress], None]) -> None:
        self._index = index
        self._store = store
        self._database = store.database
        self._progress = progress
        self._done = 0

    def replace(self) -> StoredManifest:
        before = _patiently(self._store.published)
        if before is not None and before.manifest.state == "complete" and self._equals(before.manifest):
            return before.manifest
        version = self._begun(before)
        version = self._load(version)
        version = self._complete(version)
        _patiently(self._database.point, self._store.alias, version.name)
        for name in self._others(version.name):
            _patiently(self._database.drop, name)
        return version.manifest

    def update(self) -> StoredManifest:
        before = _patiently(self._store.published)
        if before is None:
            raise CollectionError(f"there is no collection '{self._store.name}' to update; export it without --update")
        stored, source = before.manifest, self._index.manifest
        if stored.state == "complete" and stored.content == content_of(source):
            return stored
        same_encoder = stored.encoder == asdict(encoder_of(source))
        if not same_encoder or not self._begins_with(stored):
            raise CollectionError(
                f"index '{source.name}' was compacted or built again since it was exported; export it without --update"
            )
        version = self._write(before.name, stored.model_copy(update={"state": "updating"}))
        self._delete_removed(version.name)
        return self._complete(self._load(version)).manifest

    def _equals(self, stored: StoredManifest) -> bool:
        return stored.content == content_of(self._index.manifest) and stored.index == self._database.index

    def _begins_with(self, stored: StoredManifest) -> bool:
        source = self._index.manifest
        return stored.shards <= _shards(source) and stored.shards_digest == shards_digest(source, stored.shards)

    def _begun(self, before: Version | None) -> Version:
        """Return the unfinished version of this index, or a new one; versions of other contents are deleted."""
        numbers = versions_of(self._store.name, _patiently(self._database.collections))
        for name in sorted(numbers, key=lambda name: -numbers[name]):
            if before is not None and name == before.name:
                continue
            version = _patiently(self._store.read, name)
            if self._equals(version.manifest):
                return version
            _patiently(self._database.drop, name)
        manifest = self._new_manifest()
        name = version_name(self._store.name, max(numbers.values(), default=0) + 1)
        dim, rows = self._index.manifest.dim, manifest.rows
        text = manifest.model_dump_json()
        _patiently(self._database.create, name, dim, text, rows=rows, sparse=manifest.sparse)
        return Version(name, manifest)

    def _new_manifest(self) -> StoredManifest:
        source = self._index.manifest
        return StoredManifest(
            name=self._store.name,
            qttrag=__version__,
            exported=_now(),
            state="loading",
            content=content_of(source),
            index=self._database.index,
            encoder=asdict(encoder_of(source)),
            sparse=self._index.weights is not None,
            rows=source.rows - source.removed,
            langs=source.langs,
            shards=0,
            shards_digest=shards_digest(source, 0),
        )

    def _load(self, version: Version) -> Version:
        """Store the shards that the version lacks; the manifest records each of them."""
        source = self._index.manifest
        self._done = sum(source.shards[: version.manifest.shards])
        for shard in range(version.manifest.shards, _shards(source)):
            for rows, vectors in self._batches(shard):
                passages = self._index.passages.take(rows)
                weights = None if self._index.weights is None else self._index.weights.take(rows)
                _patiently(self._database.upsert, version.name, passages, vectors, weights)
            stored = {"shards": shard + 1, "shards_digest": shards_digest(source, shard + 1)}
            version = self._write(version.name, version.manifest.model_copy(update=stored))
        return version

    def _batches(self, shard: int) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]:
        """Yield rows of a shard that are not removed, and their vectors."""
        import numpy as np

        removed = self._index.passages.removed
        for first, vectors in self._index.vectors.blocks(_BATCH, range(shard, shard + 1)):
            rows = np.arange(first, first + len(vectors))
            remaining = ~np.isin(rows, removed)
            if remaining.any():
                yield rows[remaining], vectors[remaining]
            self._done += len(rows)
            self._progress(Progress("copy", self._done, self._done / self._index.manifest.rows))

    def _delete_removed(self, version: str) -> None:
        passages = self._index.passages
        ids = {passages[row].passage_id for row in passages.removed.tolist()}
        ids -= {passage.passage_id for passage in passages.with_ids(sorted(ids))}  # appended again since
        listed = sorted(ids)
        for start in range(0, len(listed), _DELETED_AT_ONCE):
            some = listed[start : start + _DELETED_AT_ONCE]
            _patiently(self._database.delete, version, some)

    def _complete(self, version: Version) -> Version:
        """Check the number of passages and record that the version is complete.

        Raises:
            CollectionError: the database has more or fewer passages than the index."""
        source = self._index.manifest
        _patiently(self._database.finish, version.name)
        stored, expected = _patiently(self._database.count, version.name), source.rows - source.removed
        if stored != expected:
            raise CollectionError(
                f"collection '{version.name}' of {self._database.kind} at {self._database.place} has {stored:,} "
                f"passages, the index has {expected:,}; delete it there and export again"
            )
        done = {"state": "complete", "content": content_of(source), "rows": expected, "langs": source.langs}
        return self._write(
            version.name, version.manifest.model_copy(update={**done, "exported": _now(), "tuned": None})
        )

    def _write(self, name: str, manifest: StoredManifest) -> Version:
        _patiently(self._database.write_manifest, name, manifest.model_dump_json())
        return Version(name, manifest)

    def _others(self, current: str) -> list[str]:
        return [
            name for name in versions_of(self._store.name, _patiently(self._database.collections)) if name != current
        ]


def _patiently(call: Callable[P, T], *args: P.args, **settings: P.kwargs) -> T:
    """Return the result of a call to a database; it is repeated, with pauses, while the database is unavailable."""
    import stamina

    for attempt in stamina.retry_context(on=StageUnavailable, attempts=_ATTEMPTS, timeout=_PATIENCE_S):
        with attempt:
            return call(*args, **settings)
    raise AssertionError("the last attempt returns or raises")


def _shards(manifest: Manifest) -> int:
    return len(manifest.shards) or 1


def _digest(parts: list[str]) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
