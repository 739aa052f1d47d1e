"""The job of making one index: what the steps of a build, an append, a compaction and an import have in common."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, NamedTuple

from qttrag import __version__
from qttrag.errors import CollectionError
from qttrag.indexes.ann import inverted_list_parts, training
from qttrag.indexes.ann.training import FAISS_FILE
from qttrag.indexes.recipe import PLACEMENT_SETTINGS, Recipe
from qttrag.indexes.storage.journal import Journal
from qttrag.indexes.storage.manifest import Manifest, checksum, problems, read_manifest
from qttrag.indexes.storage.workspace import BuildWorkspace
from qttrag.types import EncoderInfo

# Settings excluded from the build fingerprint. `faiss` is among them: its file is written last, from finished shards.
_NOT_IN_FINGERPRINT: Any = {"name": True, "faiss": True, "encoder": PLACEMENT_SETTINGS}


class Progress(NamedTuple):
    """Progress of one step. `passages`: done so far. `share`: from 0 to 1, of the source that has been read (encode) or
    of the passages to copy, add or translate; None while training, which cannot be measured."""

    step: Literal["encode", "copy", "train", "add", "translate"]
    passages: int
    share: float | None


def ignore_progress(progress: Progress) -> None:
    """Do nothing."""


@dataclass(frozen=True, slots=True)
class IndexJob:
    """One index that is being built or rewritten. `progress`: called after each piece of work.

    `list_part_rows`: vectors added to an inverted file in memory before they are written to a part on the disk."""

    recipe: Recipe
    workspace: BuildWorkspace
    journal: Journal
    progress: Callable[[Progress], None] = ignore_progress
    list_part_rows: int = inverted_list_parts.ROWS


def settings_fingerprint(recipe: Recipe) -> dict[str, Any]:
    """Return the recipe's settings that every shard of an index depends on."""
    return recipe.model_dump(mode="json", exclude=_NOT_IN_FINGERPRINT)


def complete(job: IndexJob, write: Callable[[], Manifest]) -> Manifest:
    """Publish the index of a job and return its manifest. `write` writes it, unless an earlier run has done so."""
    if (manifest := _finished_manifest(job)) is None:
        job.journal.manifest_sha256 = ""
        job.workspace.remove_orphans(job.journal)
        manifest = write()
    job.workspace.publish(job.journal)
    return manifest


def _finished_manifest(job: IndexJob) -> Manifest | None:
    """Return the manifest of an index that is finished and intact, but not yet published."""
    try:
        manifest = read_manifest(job.workspace.index)
    except CollectionError:
        return None
    intact = not problems(job.workspace.index, manifest, full=False)
    return manifest if intact and manifest.recipe_digest == job.recipe.digest else None


def write_index(job: IndexJob, encoder: EncoderInfo, skipped: Counter[str]) -> Manifest:
    """Write the FAISS index and the manifest of the job's shards; return the manifest. `skipped`: records by cause.

    Raises:
        ConfigError: FAISS cannot make such an index."""
    factory = training.write(
        job.recipe,
        job.journal,
        job.workspace,
        lambda step, done: job.progress(_faiss_progress(step, done, job.journal.rows)),
        part_rows=job.list_part_rows,
    )
    manifest = _manifest(job, encoder, skipped, factory)
    manifest.write(job.workspace.index)
    return manifest


def _faiss_progress(step: str, done: int, rows: int) -> Progress:
    return Progress("add", done, done / rows) if step == "add" else Progress("train", done, None)


def _manifest(job: IndexJob, encoder: EncoderInfo, skipped: Counter[str], factory: str) -> Manifest:
    recipe, journal = job.recipe, job.journal
    return Manifest(
        name=recipe.name,
        qttrag=__version__,
        built=datetime.now(UTC).isoformat(timespec="seconds"),
        recipe=recipe.model_dump(mode="json"),
        recipe_digest=recipe.digest,
        encoder_revision=encoder.revision,
        rows=journal.rows,
        dim=encoder.dim,
        langs=dict(journal.langs),
        skipped=dict(skipped),
        repaired=dict(journal.repaired),
        truncated=journal.truncated,
        shards=[shard.rows for shard in journal.shards],
        faiss=factory,
        files={**journal.files, FAISS_FILE: checksum(job.workspace.index / FAISS_FILE)},
    )
