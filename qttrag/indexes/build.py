"""From a recipe to a built index. Nothing half-built is ever in its place, and nothing that was encoded is lost."""

from __future__ import annotations

import errno
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import filelock

from qttrag import __version__, resources
from qttrag.errors import CollectionError, ConfigError, InputError, not_installed
from qttrag.indexes import encoding, listing, training
from qttrag.indexes import manifest as manifests
from qttrag.indexes.journal import Journal, Workshop
from qttrag.indexes.listing import SourceFile
from qttrag.indexes.manifest import Manifest
from qttrag.indexes.recipe import Recipe
from qttrag.indexes.seen import Seen
from qttrag.indexes.sources import READING, OnError, Reader
from qttrag.indexes.training import FAISS_FILE

if TYPE_CHECKING:
    from qttrag.encoders import Encoder

__all__ = ["FAISS_FILE", "Progress", "build"]
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS}
_NOT_ALLOWED = {errno.EACCES, errno.EPERM}
# What no passage and no vector depends on. Of these `faiss` has a file of its own, made last.
_FREE: Any = {"name": True, "faiss": True, "encoder": {"device", "batch_tokens"}}


class Progress(NamedTuple):
    """How far a build is. `passages` done in this step; `share`: from 0 to 1, of the source that is read for them, or
    of the vectors that are to be added; None while training, whose end is not known."""

    step: Literal["encode", "train", "add"]
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
    target = resources.built_folder() / recipe.name
    _make(target.parent)
    with _alone(target):
        workshop = Workshop(target)
        finished = workshop.tidy()
        if restart:
            workshop.remove()
        elif finished and (done := manifests.read(target)).recipe_digest == recipe.digest:
            return done  # it was killed between its last two steps
        if target.exists() and not overwrite:
            raise CollectionError(f"index '{recipe.name}' is there already ({target}); replace it with --overwrite")
        with _keeping(recipe, workshop):
            return _work(recipe, workshop, on_error, progress)


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(
            f"{error.filename}: {error.strerror}; indexes are built in {folder}, set QTTRAG_HOME to a folder that can "
            "be written"
        ) from error


@contextmanager
def _alone(target: Path) -> Iterator[None]:
    """Keep other processes from building the same index; the end of this one, however it comes, lets them."""
    lock = filelock.FileLock(target.with_name(f".{target.name}.lock"), timeout=0)
    try:
        lock.acquire()
    except filelock.Timeout:
        raise CollectionError(
            f"index '{target.name}' is being built by another process; wait for its end, or end it"
        ) from None
    except OSError as error:
        raise ConfigError(
            f"{target.parent} cannot be written ({error.strerror}); set QTTRAG_HOME to a folder that can be"
        ) from error
    try:
        yield
    finally:
        lock.release()


@contextmanager
def _keeping(recipe: Recipe, workshop: Workshop) -> Iterator[None]:
    """Leave only recorded shards behind when the block fails, and say of a full disk what to do."""
    try:
        yield
    except BaseException as error:
        rows = _leave_whole_shards(workshop)
        if isinstance(error, OSError) and _is_of(error, workshop):
            raise CollectionError(
                f"index '{recipe.name}': {workshop.folder} cannot be written ({error.strerror}); {rows:,} passages are "
                "done and kept: make room, or let it be written, and run the same command again"
            ) from error
        raise


def _is_of(error: OSError, workshop: Workshop) -> bool:
    """Say whether it is about writing the index, not about reading its source."""
    inside = isinstance(error.filename, str) and Path(error.filename).is_relative_to(workshop.target.parent)
    return error.errno in _NO_ROOM or (error.errno in _NOT_ALLOWED and inside)


def _leave_whole_shards(workshop: Workshop) -> int:
    """Return the passages that the next run goes on from; without any there is nothing to leave."""
    with suppress(OSError, CollectionError):
        journal = workshop.journal()
        if journal.shards:
            workshop.sweep(journal)
            return journal.rows
        workshop.remove()
    return 0


def _work(recipe: Recipe, workshop: Workshop, on_error: OnError, progress: Callable[[Progress], None]) -> Manifest:
    encoder = _encoder(recipe)
    training.check(recipe, encoder.dim)
    files = listing.files(recipe)
    journal = workshop.begin(_terms(recipe, encoder.revision, files))
    if (made := _made(recipe, workshop)) is None:
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
        factory = training.write(recipe, journal, workshop, lambda step, n: progress(_of_vectors(step, n, journal)))
        made = _manifest(recipe, encoder, journal, workshop, skipped, factory)
        made.write(workshop.index)
    workshop.place(journal)
    return made


def _terms(recipe: Recipe, revision: str, files: Sequence[SourceFile]) -> Mapping[str, Any]:
    """Return what every shard of an index must be made by."""
    return {
        **recipe.model_dump(mode="json", exclude=_FREE),
        "encoder revision": revision,
        "reading": READING,
        "files": {file.name: f"{file.size} bytes ({file.stamp})" for file in files},
    }


def _made(recipe: Recipe, workshop: Workshop) -> Manifest | None:
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
    recipe: Recipe, encoder: Encoder, journal: Journal, workshop: Workshop, skipped: Counter[str], factory: str
) -> Manifest:
    files = {name: recorded for shard in journal.shards for name, recorded in shard.files.items()}
    langs = sum((Counter(shard.langs) for shard in journal.shards), Counter[str]())
    return Manifest(
        name=recipe.name,
        qttrag=__version__,
        built=datetime.now(UTC).isoformat(timespec="seconds"),
        recipe=recipe.model_dump(mode="json"),
        recipe_digest=recipe.digest,
        encoder_revision=encoder.revision,
        rows=journal.rows,
        dim=encoder.dim,
        langs=dict(langs),
        skipped=dict(skipped),
        truncated=sum(shard.truncated for shard in journal.shards),
        shards=[shard.rows for shard in journal.shards],
        faiss=factory,
        files={**files, FAISS_FILE: manifests.checksum(workshop.index / FAISS_FILE)},
    )


def _encoder(recipe: Recipe) -> Encoder:
    from qttrag.encoders import Encoder

    settings = recipe.encoder
    try:
        return Encoder(
            settings.model, revision=settings.revision, device=settings.device, max_tokens=settings.max_tokens
        )
    except ModuleNotFoundError as error:
        raise ConfigError(not_installed(f"the encoder of recipe '{recipe.name}'", error)) from error
