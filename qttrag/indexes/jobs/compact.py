"""An index written anew from its own files: without what was removed, trained on what was appended, too."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from qttrag.errors import CollectionError
from qttrag.indexes import collection as search
from qttrag.indexes.collection import Collection
from qttrag.indexes.jobs import build as building
from qttrag.indexes.jobs.build import Progress
from qttrag.indexes.recipe import Recipe
from qttrag.indexes.sources.records import Position
from qttrag.indexes.storage import locking as safely
from qttrag.indexes.storage import manifest as manifests
from qttrag.indexes.storage.journal import Journal, Workshop
from qttrag.indexes.storage.manifest import Manifest
from qttrag.indexes.storage.shards import ShardWriter

_TOGETHER = 4096  # rows copied at a time


class _Made(NamedTuple):
    revision: str
    dim: int
    max_tokens: int


def compact(
    name: str, *, restart: bool = False, progress: Callable[[Progress], None] = lambda progress: None
) -> Manifest:
    """Write an index anew, without the passages that were removed, and return its manifest.

    Nothing is encoded; the FAISS index is chosen, if the recipe says auto, and trained for the passages there are.
    With nothing removed or appended nothing is done. It needs as much room as the index has; until it is done the
    index is as it was, and the same call goes on where one was broken off. `restart` begins again.

    Raises:
        CollectionError: there is no such index, it is damaged, empty or in work, or there is no room."""
    folder = search.find(name).folder.resolve()
    with safely.alone(folder):
        workshop = Workshop(folder, "compacting")
        workshop.tidy()
        if restart:
            workshop.remove()
        collection = search.open_index(str(folder), threads=1)
        if not needed(collection.manifest):
            workshop.remove()
            return collection.manifest
        if not collection.manifest.langs:
            raise CollectionError(
                f"index '{folder.name}' has no passage left; append some, or remove its folder {folder}"
            )
        with safely.keeping(workshop):
            return _compact(collection, folder, workshop, progress)


def needed(manifest: Manifest) -> bool:
    """Say whether passages were removed or appended since the index was written as a whole."""
    return manifest.removed > 0 or not all(addition.folded for addition in manifest.appended)


def _compact(
    collection: Collection, folder: Path, workshop: Workshop, progress: Callable[[Progress], None]
) -> Manifest:
    before = collection.manifest
    journal = workshop.begin({"index": manifests.checksum(folder / manifests.FILE).sha256})
    if not journal.made:
        workshop.sweep(journal)
        recipe = Recipe(**before.recipe)
        _copy(collection, recipe, journal, workshop, progress)
        maker = _Made(before.encoder_revision, before.dim, recipe.encoder.max_tokens)
        made = building.finish(recipe, maker, journal, workshop, Counter(before.skipped), progress)
        appended = [addition.model_copy(update={"folded": True}) for addition in before.appended]
        made.model_copy(update={"truncated": before.truncated, "appended": appended}).write(workshop.index)
    workshop.place(journal)
    return manifests.read(folder)


def _copy(
    collection: Collection,
    recipe: Recipe,
    journal: Journal,
    workshop: Workshop,
    progress: Callable[[Progress], None],
) -> None:
    """Copy the rows that are left and not copied yet, in their order."""
    living, writer, in_shard = collection.passages.living(), ShardWriter(workshop, journal, collection.manifest.dim), 0
    for start in range(journal.rows, len(living), _TOGETHER):
        rows = living[start : start + _TOGETHER]
        writer.append(collection.passages.take(rows), collection.vectors.stored(rows))
        in_shard += len(rows)
        done = start + len(rows)
        if in_shard >= recipe.shard_rows or done == len(living):
            writer.close(Position(0, done))
            in_shard = 0
        progress(Progress("copy", done, done / len(living)))
