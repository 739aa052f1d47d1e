"""Builds an index from vectors that were encoded elsewhere, in shards and as durably as any other build."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from qttrag.indexes.ann import training
from qttrag.indexes.jobs.index_job import (
    IndexJob,
    Progress,
    complete,
    ignore_progress,
    settings_fingerprint,
    write_index,
)
from qttrag.indexes.jobs.resuming import build_in_workspace
from qttrag.indexes.recipe import Recipe
from qttrag.indexes.sources.records import ReadSummary, SourcePosition
from qttrag.indexes.storage.manifest import Manifest
from qttrag.indexes.storage.shards import ShardWriter
from qttrag.indexes.storage.workspace import BuildWorkspace
from qttrag.types import EncoderInfo, Passage

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class EncodedPassages(NamedTuple):
    """Passages and their vectors, float32, unit length, one row each.

    `summary`: of reading them; `position`, `share`: of the source after them."""

    passages: list[Passage]
    vectors: NDArray[np.float32]
    summary: ReadSummary
    position: SourcePosition
    share: float


def build_from_vectors(
    recipe: Recipe,
    encoder: EncoderInfo,
    source_fingerprint: Mapping[str, Any],
    read: Callable[[IndexJob], Iterable[EncodedPassages]],
    *,
    overwrite: bool = False,
    restart: bool = False,
    progress: Callable[[Progress], None] = ignore_progress,
) -> Manifest:
    """Build an index of the passages that `read` yields after those in the job's journal; return its manifest.

    `recipe`: for the manifest. `encoder`: of the vectors. `source_fingerprint`: what else must not change before an
    interrupted build is resumed. Everything else is as in `qttrag.indexes.jobs.build.build`.

    Raises:
        CollectionError: the index exists and `overwrite` is off, another process is building it, it is half built with
            other settings, or the disk is full.
        ConfigError: FAISS cannot make such an index."""

    def work(workspace: BuildWorkspace) -> Manifest:
        training.check(recipe, encoder.dim)
        journal = workspace.begin({**settings_fingerprint(recipe), **source_fingerprint})
        job = IndexJob(recipe, workspace, journal, progress)
        return complete(job, lambda: _write(job, encoder, read(job)))

    return build_in_workspace(recipe, work, overwrite=overwrite, restart=restart)


def _write(job: IndexJob, encoder: EncoderInfo, batches: Iterable[EncodedPassages]) -> Manifest:
    shards, done, in_shard = ShardWriter(job.workspace, job.journal, encoder.dim), job.journal.rows, 0
    for batch in batches:
        shards.append(batch.passages, batch.vectors, summary=batch.summary)
        done, in_shard = done + len(batch.passages), in_shard + len(batch.passages)
        job.progress(Progress("encode", done, batch.share))
        if in_shard >= job.recipe.shard_rows:
            shards.close(batch.position)
            in_shard = 0
    if in_shard:
        shards.close(batch.position)
    return write_index(job, encoder, Counter())
