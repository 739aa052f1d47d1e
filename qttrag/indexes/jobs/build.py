"""From a recipe to a built index. Nothing half-built is ever in its place, and nothing that was encoded is lost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Literal, NamedTuple

from qttrag import __version__, resources
from qttrag.errors import CollectionError, InputError
from qttrag.indexes.ann import training
from qttrag.indexes.ann.training import FAISS_FILE
from qttrag.indexes.jobs import encoding, workers
from qttrag.indexes.jobs.workers import Maker, Workers
from qttrag.indexes.recipe import WHERE, Recipe
from qttrag.indexes.sources import listing
from qttrag.indexes.sources.id_sets import Seen
from qttrag.indexes.sources.listing import SourceFile
from qttrag.indexes.sources.records import READING, OnError, Reader
from qttrag.indexes.storage import locking as safely
from qttrag.indexes.storage import manifest as manifests
from qttrag.indexes.storage.journal import Journal, Workshop
from qttrag.indexes.storage.manifest import Manifest

__all__ = ["FAISS_FILE", "Progress", "build"]
# What no passage and no vector depends on. Of these `faiss` has a file of its own, made last.
FREE: Any = {"name": True, "faiss": True, "encoder": WHERE}


class Progress(NamedTuple):
    """How far a build is. `passages` done in this step; `share`: from 0 to 1, of the source that is read for them, or
    of what is to be copied or added; None while training, whose end is not known."""

    step: Literal["encode", "copy", "train", "add"]
    passages: int
    share: float | None


def build(
    recipe: Recipe,
    *,
    overwrite: bool = False,
    restart: bool = False,
    on_error: OnError = "stop",
    progress: Callable[[Progress], None] = lambda progress: None,
) -> Manifest:
    """Build the index of a recipe under `resources.built_folder()` and return its manifest.

    A build that fails or is killed leaves what was there before, and beside it the shards that are done: the same
    call goes on from them. `restart` throws them away first. `overwrite` replaces an index that is there, at the end.

    Raises:
        CollectionError: the index is there already and `overwrite` is off, or another process is building it, or it
            is half built on other terms, or there is no room for it.
        InputError: a record is bad and `on_error` is "stop"; or no passage is left.
        ConfigError: the source, encoder or FAISS factory string is not as it must be; a library is not installed."""
    return made_aside(
        recipe,
        lambda workshop: _work(recipe, workshop, on_error, progress),
        overwrite=overwrite,
        restart=restart,
    )


def made_aside(recipe: Recipe, work: Callable[[Workshop], Manifest], *, overwrite: bool, restart: bool) -> Manifest:
    """Return the manifest that `work` makes beside an index of the recipe's name, which nobody else builds meanwhile.

    What it leaves undone when it fails is kept, unless `restart`.

    Raises:
        CollectionError: the index is there already and `overwrite` is off, or another process is building it."""
    target = resources.built_folder() / recipe.name
    safely.folder(target.parent)
    with safely.alone(target):
        workshop = Workshop(target)
        placed = workshop.tidy()
        if restart:
            workshop.remove()
        elif placed and (done := manifests.read(target)).recipe_digest == recipe.digest:
            return done  # it was killed between its last two steps
        if target.exists() and not overwrite:
            raise CollectionError(f"index '{recipe.name}' is there already ({target}); replace it with --overwrite")
        with safely.keeping(workshop):
            return work(workshop)


def _work(recipe: Recipe, workshop: Workshop, on_error: OnError, progress: Callable[[Progress], None]) -> Manifest:
    with workers.load(recipe.encoder, of=f"the encoder of recipe '{recipe.name}'") as encoder:
        return _by(encoder, recipe, workshop, on_error, progress)


def _by(
    encoder: Workers, recipe: Recipe, workshop: Workshop, on_error: OnError, progress: Callable[[Progress], None]
) -> Manifest:
    training.check(recipe, encoder.dim)
    files = listing.files(recipe)
    journal = workshop.begin(terms(recipe, encoder.revision, files))
    if (made := finished(recipe, workshop)) is None:
        journal.made = ""
        workshop.sweep(journal)
        reader = Reader(
            recipe,
            files,
            on_error=on_error,
            start=journal.position,
            seen=Seen(workshop.seen(journal)),
            folder=workshop.fetched,
        )
        rest = encoding.encode_all(
            recipe, encoder, reader, journal, workshop, lambda done, share: progress(Progress("encode", done, share))
        )
        skipped = sum((Counter(shard.skipped) for shard in journal.shards), rest)
        if not journal.shards:
            left_out = f" ({skipped.total()} records were skipped)" if skipped else ""
            raise InputError(f"recipe '{recipe.name}' gives no passages{left_out}; check its source")
        made = finish(recipe, encoder, journal, workshop, skipped, progress)
    workshop.place(journal)
    return made


def finish(
    recipe: Recipe,
    maker: Maker,
    journal: Journal,
    workshop: Workshop,
    skipped: Counter[str],
    progress: Callable[[Progress], None],
) -> Manifest:
    """Make the FAISS index and the manifest of the shards there are; return the manifest.

    Raises:
        ConfigError: FAISS cannot make such an index."""
    factory = training.write(recipe, journal, workshop, lambda step, n: progress(_of_vectors(step, n, journal)))
    manifest = _manifest(recipe, maker, journal, workshop, skipped, factory)
    manifest.write(workshop.index)
    return manifest


def terms(recipe: Recipe, revision: str, files: Sequence[SourceFile]) -> Mapping[str, Any]:
    """Return what every shard of an index must be made by."""
    return {
        **recipe.model_dump(mode="json", exclude=FREE),
        "encoder revision": revision,
        "reading": READING,
        "files": {file.name: f"{file.size} bytes ({file.stamp})" for file in files},
    }


def finished(recipe: Recipe, workshop: Workshop) -> Manifest | None:
    """Return the manifest of an index that is finished and not yet in its place."""
    try:
        manifest = manifests.read(workshop.index)
    except CollectionError:
        return None
    whole = not manifests.problems(workshop.index, manifest, full=False)
    return manifest if whole and manifest.recipe_digest == recipe.digest else None


def _of_vectors(step: str, done: int, journal: Journal) -> Progress:
    return Progress("add", done, done / journal.rows) if step == "add" else Progress("train", done, None)


def _manifest(
    recipe: Recipe, maker: Maker, journal: Journal, workshop: Workshop, skipped: Counter[str], factory: str
) -> Manifest:
    files = {name: recorded for shard in journal.shards for name, recorded in shard.files.items()}
    langs = sum((Counter(shard.langs) for shard in journal.shards), Counter[str]())
    return Manifest(
        name=recipe.name,
        qttrag=__version__,
        built=datetime.now(UTC).isoformat(timespec="seconds"),
        recipe=recipe.model_dump(mode="json"),
        recipe_digest=recipe.digest,
        encoder_revision=maker.revision,
        rows=journal.rows,
        dim=maker.dim,
        langs=dict(langs),
        skipped=dict(skipped),
        truncated=sum(shard.truncated for shard in journal.shards),
        shards=[shard.rows for shard in journal.shards],
        faiss=factory,
        files={**files, FAISS_FILE: manifests.checksum(workshop.index / FAISS_FILE)},
    )
