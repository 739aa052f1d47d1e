"""Appends passages to an index. They are encoded as in a build; the published index stays unchanged until the end."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from qttrag.errors import CollectionError, ConfigError
from qttrag.indexes.ann import training
from qttrag.indexes.ann.training import FAISS_FILE
from qttrag.indexes.collection import find, open_index
from qttrag.indexes.jobs.build import fingerprint
from qttrag.indexes.jobs.encoding import encode_source
from qttrag.indexes.jobs.index_job import IndexJob, Progress, ignore_progress
from qttrag.indexes.jobs.remove import mark_removed
from qttrag.indexes.jobs.resuming import keep_finished_shards
from qttrag.indexes.jobs.workers import EncoderPool, OpenEncoder, load_passage_encoders
from qttrag.indexes.recipe import PLACEMENT_SETTINGS, Recipe, Source
from qttrag.indexes.sources import listing
from qttrag.indexes.sources.id_sets import IdSet
from qttrag.indexes.sources.listing import SourceFile
from qttrag.indexes.sources.records import OnError
from qttrag.indexes.storage.journal import Journal, changed_settings
from qttrag.indexes.storage.locking import exclusive_lock
from qttrag.indexes.storage.manifest import Addition, Manifest, checksum, read_manifest
from qttrag.indexes.storage.passage_ids import record_digests
from qttrag.indexes.storage.passages import Passages
from qttrag.indexes.storage.tombstones import read_removed
from qttrag.indexes.storage.workspace import BuildWorkspace

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_KINDS = {".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet", ".tsv": "tsv", ".arrow": "arrow"}


class BaseIndex(NamedTuple):
    """The index to append to."""

    folder: Path
    manifest: Manifest
    passages: Passages

    @property
    def identity(self) -> str:
        """Return a digest of the contents of its files."""
        sums = sorted((name, file.sha256) for name, file in self.manifest.files.items())
        return hashlib.sha256(json.dumps(sums).encode()).hexdigest()

    @property
    def shards(self) -> int:
        return len(self.manifest.shards) or 1


def recipe_for_file(name: str, path: Path, *, lang: str | None = None) -> Recipe:
    """Return the recipe of an index with this file as its source. `lang`: of all records; None: as in the index.

    Raises:
        ConfigError: the kind of file is unknown. CollectionError: there is no such index."""
    recipe = Recipe(**find(name).manifest.recipe)
    kind = _KINDS.get(path.with_suffix("").suffix if path.suffix == ".gz" else path.suffix)
    if kind is None:
        raise ConfigError(
            f"{path}: unknown kind of file; use {', '.join(_KINDS)} (lines may be gzipped, .gz) or a recipe, *.yaml"
        )
    settings: dict[str, Any] = {"kind": kind, "path": [str(path.expanduser().absolute())]}
    source = Source(**settings, clean=recipe.source.clean, fields=recipe.source.fields)
    return Recipe(**{**recipe.model_dump(), "source": source.model_dump(), "lang": lang or recipe.lang})


def append(
    name: str,
    recipe: Recipe,
    *,
    open_encoder: OpenEncoder,
    replace: bool = False,
    restart: bool = False,
    on_error: OnError = "stop",
    progress: Callable[[Progress], None] = ignore_progress,
) -> Manifest:
    """Append the passages of a recipe's source to an index and return its manifest.

    A record whose id the index already contains is invalid, or, with `replace`, replaces the earlier one. The published
    index stays unchanged until the end, and the same call resumes an interrupted one. `restart` starts over.

    Raises:
        CollectionError: the index is missing, damaged or locked, was built with other settings than the recipe's, or an
            append with other settings is unfinished.
        InputError: a record is invalid and `on_error` is "stop". ConfigError: as in `build`."""
    folder = find(name).folder.resolve()
    with exclusive_lock(folder):
        manifest = open_index(str(folder), threads=1).manifest
        workspace = BuildWorkspace(folder, "appending", first_shard=len(manifest.shards) or 1)
        published = workspace.recover()
        if restart:
            workspace.remove()
        base = BaseIndex(folder, manifest, Passages(folder, read_removed(folder, manifest.files, manifest.rows)))
        check_settings(manifest, recipe)
        owner = f"the encoder of '{folder.name}'"
        with (
            keep_finished_shards(workspace),
            load_passage_encoders(recipe, owner=owner, open_encoder=open_encoder) as encoders,
        ):
            check_revision(manifest, recipe, encoders.info.revision)
            files = listing.files(recipe)
            settings = {**fingerprint(recipe, encoders.info.revision, files), "replace": replace}
            if published is not None and _same_addition(published, settings):
                return manifest  # it was killed after publishing, before its workspace was removed
            journal = workspace.begin({**settings, "index": base.identity})
            job = IndexJob(recipe, workspace, journal, progress)
            return _append(job, base, encoders, files, replace=replace, on_error=on_error)


def check_settings(manifest: Manifest, recipe: Recipe) -> None:
    """Check that a recipe cuts and encodes passages as those of the index.

    Raises:
        CollectionError: it does not."""

    def settings(recipe: Recipe) -> dict[str, Any]:
        encoder = recipe.encoder.model_dump(exclude=PLACEMENT_SETTINGS)
        return {"chunking": recipe.chunking.model_dump(), "encoder": encoder, "sparse": recipe.sparse}

    if changes := changed_settings(settings(Recipe(**manifest.recipe)), settings(recipe)):
        raise CollectionError(
            f"index '{manifest.name}' was built with other settings: {'; '.join(changes)}. Restore them, or build the "
            "index again"
        )


def check_revision(manifest: Manifest, recipe: Recipe, revision: str) -> None:
    """Raise CollectionError if the encoder of the index had another revision."""
    if revision != manifest.encoder_revision:
        raise CollectionError(
            f"index '{manifest.name}' was built with {recipe.encoder.model} ({manifest.encoder_revision}), the encoder "
            f"here is {revision}; set `encoder: {{revision: ...}}` in a recipe, or build the index again"
        )


def _same_addition(published: Journal, settings: Mapping[str, Any]) -> bool:
    return not changed_settings({**published.fingerprint, "index": ""}, {**settings, "index": ""})


def _append(
    job: IndexJob,
    base: BaseIndex,
    encoders: EncoderPool,
    files: list[SourceFile],
    *,
    replace: bool,
    on_error: OnError,
) -> Manifest:
    if not job.journal.manifest_sha256:
        job.workspace.remove_orphans(job.journal)
        digests = record_digests(base.passages, chunked=job.recipe.chunking.enabled)
        indexed = None if replace else IdSet([digests[~base.passages.removed_mask()]])
        skipped = encode_source(job, encoders, files, on_error=on_error, indexed=indexed)
        if not job.journal.shards:
            job.workspace.remove()
            return base.manifest
        _combine(job, base, skipped, replaceable=digests if replace else None)
    job.workspace.publish(job.journal)
    return read_manifest(base.folder)


def _combine(job: IndexJob, base: BaseIndex, skipped: Counter[str], *, replaceable: NDArray[np.uint64] | None) -> None:
    """Write the index of the base's files and the new shards.

    `replaceable`: digests of the base's record ids by row, to be replaced by appended records; None: none."""
    import numpy as np

    folder = job.workspace.index
    manifest = extended_manifest(job, base, skipped)
    if replaceable is not None:
        passages = Passages(folder, base.passages.removed)
        appended = record_digests(passages, chunked=job.recipe.chunking.enabled)[base.manifest.rows :]
        replaced = np.setdiff1d(np.flatnonzero(np.isin(replaceable, appended)), base.passages.removed)
        manifest.appended[-1].replaced = len(replaced)
        if len(replaced):
            manifest = mark_removed(manifest, passages, replaced, folder)
    manifest.write(folder)


def extended_manifest(job: IndexJob, base: BaseIndex, skipped: Counter[str]) -> Manifest:
    """Link the base's files and write the FAISS index with the new shards; return the manifest, not yet written."""
    folder = job.workspace.index
    for name in base.manifest.files.keys() - {FAISS_FILE}:
        _link_or_copy(base.folder / name, folder / name)
    rows = base.manifest.rows + job.journal.rows
    training.extend(
        base.folder / FAISS_FILE,
        folder,
        range(base.shards, base.shards + len(job.journal.shards)),
        lambda done: job.progress(Progress("add", done, done / rows)),
    )
    return _combined_manifest(job, base.manifest, skipped)


def _combined_manifest(job: IndexJob, base: Manifest, skipped: Counter[str]) -> Manifest:
    journal = job.journal
    addition = Addition(
        at=datetime.now(UTC).isoformat(timespec="seconds"),
        source=job.recipe.source.model_dump(mode="json"),
        lang=job.recipe.lang,
        passages=journal.rows,
    )
    faiss = {FAISS_FILE: checksum(job.workspace.index / FAISS_FILE)}
    return base.model_copy(
        update={
            "rows": base.rows + journal.rows,
            "langs": dict(Counter(base.langs) + journal.langs),
            "skipped": dict(skipped + Counter(base.skipped)),
            "repaired": dict(journal.repaired + Counter(base.repaired)),
            "truncated": base.truncated + journal.truncated,
            "shards": [*(base.shards or [base.rows]), *(shard.rows for shard in journal.shards)],
            "appended": [*base.appended, addition],
            "files": {**base.files, **journal.files, **faiss},
        }
    )


def _link_or_copy(path: Path, target: Path) -> None:
    try:
        os.link(path, target)
    except OSError:  # not every file system has hard links
        shutil.copy2(path, target)
