"""From a recipe to a built index. Nothing half-built is ever in its place."""

from __future__ import annotations

import importlib
import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import filelock

from qttrag import __version__, resources
from qttrag.errors import CollectionError, ConfigError, InputError, not_installed
from qttrag.indexes import filtering
from qttrag.indexes import manifest as manifests
from qttrag.indexes import passages as passage_files
from qttrag.indexes.chunking import chunk
from qttrag.indexes.manifest import Manifest
from qttrag.indexes.recipe import Recipe
from qttrag.indexes.sources import OnError, records
from qttrag.indexes.vectors import Vectors, VectorWriter
from qttrag.types import Passage

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from qttrag.encoders import Encoder

FAISS_FILE = "faiss.index"
_WINDOW = 4096  # passages sorted by length together, so that a batch pads little
_TRAINING_VECTORS = 200_000


def build(
    recipe: Recipe,
    *,
    overwrite: bool = False,
    on_error: OnError = "stop",
    progress: Callable[[int], None] = lambda passages: None,
) -> Manifest:
    """Build the index of a recipe under `resources.built_folder()` and return its manifest.

    `progress` is told the passages done so far. A build that fails or is killed leaves what was there before; the
    next one clears up after it.

    Raises:
        CollectionError: the index is there already and `overwrite` is off, or another process is building it.
        InputError: a record is bad and `on_error` is "stop"; or no passage is left.
        ConfigError: the source, encoder or FAISS factory string is not as it must be; a library is not installed."""
    target = resources.built_folder() / recipe.name
    target.parent.mkdir(parents=True, exist_ok=True)
    with _alone(target):
        aside = _clear_up(target)
        if target.exists() and not overwrite:
            raise CollectionError(f"index '{recipe.name}' is there already ({target}); replace it with --overwrite")
        aside.mkdir()
        try:
            manifest = _write(recipe, aside, on_error, progress)
            _replace(target, aside)
        finally:
            shutil.rmtree(aside, ignore_errors=True)
    return manifest


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
    try:
        yield
    finally:
        lock.release()


def _clear_up(target: Path) -> Path:
    """Put back or remove what a build left that was killed; return the folder to build in, which is not there."""
    aside, old = _aside(target), _old(target)
    shutil.rmtree(aside, ignore_errors=True)
    if old.exists() and not target.exists():
        old.rename(target)  # it was killed between the two renames of `_replace`
    shutil.rmtree(old, ignore_errors=True)
    return aside


def _aside(target: Path) -> Path:
    return target.with_name(f".{target.name}.building")


def _old(target: Path) -> Path:
    return target.with_name(f".{target.name}.old")


def _write(recipe: Recipe, folder: Path, on_error: OnError, progress: Callable[[int], None]) -> Manifest:
    encoder = _encoder(recipe)
    skipped: Counter[str] = Counter()
    langs: Counter[str] = Counter()
    truncated = 0
    passages = passage_files.PassageWriter(folder / passage_files.FILE)
    vectors = VectorWriter(folder, shard_rows=recipe.shard_rows)
    stream = _passages(recipe, on_error, skipped)
    while window := list(islice(stream, _WINDOW)):
        encoded, too_long = _encode(recipe, encoder, window, progress, done=langs.total())
        passages.append(window)
        vectors.append(encoded)
        langs.update(passage.lang for passage in window)
        truncated += too_long
    passages.close()
    vectors.close()
    if not langs:
        left_out = f" ({skipped.total()} records were skipped)" if skipped else ""
        raise InputError(f"recipe '{recipe.name}' gives no passages{left_out}; check its source")
    _write_faiss(recipe, folder, several_langs=len(langs) > 1)
    manifest = Manifest(
        name=recipe.name,
        qttrag=__version__,
        built=datetime.now(UTC).isoformat(timespec="seconds"),
        recipe=recipe.model_dump(mode="json"),
        recipe_digest=recipe.digest,
        encoder_revision=encoder.revision,
        rows=langs.total(),
        dim=encoder.dim,
        langs=dict(langs),
        skipped=dict(skipped),
        truncated=truncated,
        files={path.name: manifests.checksum(path) for path in sorted(folder.iterdir())},
    )
    manifest.write(folder)
    return manifest


def _encoder(recipe: Recipe) -> Encoder:
    from qttrag.encoders import Encoder

    settings = recipe.encoder
    try:
        return Encoder(
            settings.model, revision=settings.revision, device=settings.device, max_tokens=settings.max_tokens
        )
    except ModuleNotFoundError as error:
        raise ConfigError(not_installed(f"the encoder of recipe '{recipe.name}'", error)) from error


def _passages(recipe: Recipe, on_error: OnError, skipped: Counter[str]) -> Iterator[Passage]:
    for record in records(recipe, on_error=on_error, skipped=skipped):
        texts = chunk(record.text, record.lang, recipe.chunking)
        for number, text in enumerate(texts):
            identifier = f"{record.record_id}#{number}" if recipe.chunking.enabled else record.record_id
            yield Passage(identifier, text, record.lang, record.title)


def _encode(
    recipe: Recipe, encoder: Encoder, window: list[Passage], progress: Callable[[int], None], *, done: int
) -> tuple[NDArray[np.float32], int]:
    """Return the window's vectors in its order, and how many passages were cut to `max_tokens`."""
    import numpy as np

    texts = [recipe.encoder.passage_prefix + passage.content for passage in window]
    lengths = np.array(encoder.lengths(texts))
    order = np.argsort(-lengths, kind="stable")
    vectors = np.empty((len(texts), encoder.dim), dtype=np.float32)
    start = 0
    while start < len(order):
        longest = min(int(lengths[order[start]]), encoder.max_tokens)
        rows = order[start : start + max(1, recipe.encoder.batch_tokens // longest)]
        vectors[rows] = encoder.encode([texts[row] for row in rows])
        start += len(rows)
        progress(done + start)
    return vectors, int((lengths > encoder.max_tokens).sum())


def _write_faiss(recipe: Recipe, folder: Path, *, several_langs: bool) -> None:
    import faiss
    import numpy as np

    vectors = Vectors(folder)
    shards = iter(vectors)
    first = next(shards)
    try:
        index = faiss.index_factory(first.shape[1], recipe.faiss, faiss.METRIC_INNER_PRODUCT)
        if not index.is_trained:
            rows = np.random.default_rng(0).permutation(len(vectors))[:_TRAINING_VECTORS]
            index.train(vectors.take(np.sort(rows)))
        index.add(first)
        for shard in shards:
            index.add(shard)
    except RuntimeError as error:
        raise ConfigError(
            f"recipe '{recipe.name}': FAISS cannot make '{recipe.faiss}' of {len(vectors)} vectors "
            f"({_faiss_words(error)}); `faiss: Flat` always works"
        ) from error
    if several_langs:
        _check_filter(recipe, index, first[:1])
    faiss.write_index(index, str(folder / FAISS_FILE))


def _check_filter(recipe: Recipe, index: Any, query: NDArray[np.float32]) -> None:
    """Refuse an index that could not be searched in one of its languages alone."""
    faiss: Any = importlib.import_module("faiss")  # its stubs lack what SWIG makes
    selector = faiss.IDSelectorRange(0, 1)
    try:
        index.search(query, 1, params=filtering.parameters(index, selector, 1))
    except RuntimeError as error:
        raise ConfigError(
            f"recipe '{recipe.name}': FAISS cannot search '{recipe.faiss}' in some languages only "
            f"({_faiss_words(error)}), and the source has several; choose one that can (Flat, SQ8, HNSW32, "
            "whatever begins with IVF), or make a collection of each language"
        ) from error


def _faiss_words(error: Any) -> str:
    return str(error).rsplit("\n", 1)[-1].rsplit(": ", 1)[-1].strip() or "no reason given"


def _replace(target: Path, aside: Path) -> None:
    for path in (*aside.iterdir(), aside):
        _sync(path)
    if target.exists():
        target.rename(_old(target))
    aside.rename(target)
    _sync(target.parent)
    shutil.rmtree(_old(target), ignore_errors=True)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
