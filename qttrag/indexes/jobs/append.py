"""New passages for an index that is there, encoded as in a build, and as durably: until all is done, nothing is."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from qttrag.errors import CollectionError, ConfigError
from qttrag.indexes import collection as search
from qttrag.indexes.ann import training
from qttrag.indexes.ann.training import FAISS_FILE
from qttrag.indexes.jobs import build as building
from qttrag.indexes.jobs import encoding, workers
from qttrag.indexes.jobs import remove as removal
from qttrag.indexes.jobs.build import Progress
from qttrag.indexes.jobs.workers import Workers
from qttrag.indexes.recipe import WHERE, Recipe, Source
from qttrag.indexes.sources import listing
from qttrag.indexes.sources.id_sets import Seen
from qttrag.indexes.sources.records import OnError, Reader
from qttrag.indexes.storage import journal, tombstones
from qttrag.indexes.storage import locking as safely
from qttrag.indexes.storage import manifest as manifests
from qttrag.indexes.storage import passage_ids as ids
from qttrag.indexes.storage.journal import Journal, Workshop
from qttrag.indexes.storage.manifest import Addition, Manifest
from qttrag.indexes.storage.passages import Passages

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_KINDS = {".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet", ".tsv": "tsv", ".arrow": "arrow"}


class Base(NamedTuple):
    """The index that is appended to."""

    folder: Path
    manifest: Manifest
    passages: Passages

    @property
    def identity(self) -> str:
        """Return what changes with the passages it holds."""
        sums = sorted((name, recorded.sha256) for name, recorded in self.manifest.files.items())
        return hashlib.sha256(json.dumps(sums).encode()).hexdigest()

    @property
    def shards(self) -> int:
        return len(self.manifest.shards) or 1


def of_file(name: str, path: Path, *, lang: str | None = None) -> Recipe:
    """Return the recipe of an index with a file as its source. `lang`: of all its records; None: as in the index.

    Raises:
        ConfigError: the file is of no kind that is read. CollectionError: there is no such index."""
    recipe = Recipe(**search.find(name).manifest.recipe)
    kind = _KINDS.get(path.with_suffix("").suffix if path.suffix == ".gz" else path.suffix)
    if kind is None:
        raise ConfigError(f"{path}: passages come from {', '.join(_KINDS)} (lines also as .gz) or by a recipe, *.yaml")
    settings: dict[str, Any] = {"kind": kind, "path": [str(path.expanduser().absolute())]}
    source = Source(**settings, clean=recipe.source.clean, fields=recipe.source.fields)
    data = recipe.model_dump()
    return Recipe(**{**data, "source": source.model_dump(), "lang": lang or recipe.lang})


def append(
    name: str,
    recipe: Recipe,
    *,
    replace: bool = False,
    restart: bool = False,
    on_error: OnError = "stop",
    progress: Callable[[Progress], None] = lambda progress: None,
) -> Manifest:
    """Add the passages of a recipe's source to an index and return its manifest.

    Records whose ids the index has are bad records, or, with `replace`, take the place of those. The same call goes on
    where one was broken off; until it is done the index is as it was. `restart` begins again.

    Raises:
        CollectionError: there is no such index, it is damaged or in work, it was made otherwise than `recipe` says, or
            half appended to on other terms.
        InputError: a record is bad and `on_error` is "stop". ConfigError: as of `build`."""
    folder = search.find(name).folder.resolve()
    with safely.alone(folder):
        manifest = search.open_index(str(folder), threads=1).manifest
        workshop = Workshop(folder, "appending", first=len(manifest.shards) or 1)
        placed = workshop.tidy()
        if restart:
            workshop.remove()
        base = Base(folder, manifest, Passages(folder, tombstones.read(folder, manifest.files, manifest.rows)))
        _check_same(manifest, recipe)
        with safely.keeping(workshop), workers.load(recipe.encoder, of=f"the encoder of '{folder.name}'") as encoder:
            return _append(base, recipe, encoder, workshop, placed, replace, on_error, progress)


def _check_same(manifest: Manifest, recipe: Recipe) -> None:
    """Refuse a recipe whose passages would not be like those of the index."""

    def made(data: dict[str, Any]) -> dict[str, Any]:
        known = Recipe(**data)
        return {"chunking": known.chunking.model_dump(), "encoder": known.encoder.model_dump(exclude=WHERE)}

    if changed := journal.differences(made(manifest.recipe), made(recipe.model_dump())):
        raise CollectionError(
            f"index '{manifest.name}' has passages that were made otherwise: {'; '.join(changed)}. Set that as it was, "
            "or build the index again"
        )


def _append(
    base: Base,
    recipe: Recipe,
    encoder: Workers,
    workshop: Workshop,
    placed: Journal | None,
    replace: bool,
    on_error: OnError,
    progress: Callable[[Progress], None],
) -> Manifest:
    if encoder.revision != base.manifest.encoder_revision:
        raise CollectionError(
            f"index '{base.manifest.name}' was built with {recipe.encoder.model} ({base.manifest.encoder_revision}), "
            f"here is {encoder.revision}; set `encoder: {{revision: ...}}` in a recipe, or build the index again"
        )
    files = listing.files(recipe)
    terms = {**building.terms(recipe, encoder.revision, files), "replace": replace}
    if placed is not None and not journal.differences({**placed.terms, "index": ""}, {**terms, "index": ""}):
        return base.manifest  # it was killed between its last two steps
    begun = workshop.begin({**terms, "index": base.identity})
    if not begun.made:
        workshop.sweep(begun)
        digests = ids.of_records(base.passages, cut=recipe.chunking.enabled)
        reader = Reader(
            recipe,
            files,
            on_error=on_error,
            start=begun.position,
            seen=Seen(workshop.seen(begun)),
            known=None if replace else Seen([digests[~base.passages.gone()]]),
            folder=workshop.fetched,
        )
        rest = encoding.encode_all(
            recipe, encoder, reader, begun, workshop, lambda done, share: progress(Progress("encode", done, share))
        )
        skipped = sum((Counter(shard.skipped) for shard in begun.shards), rest)
        if not begun.shards:
            workshop.remove()
            return base.manifest
        _join(base, recipe, digests if replace else None, begun, workshop, skipped, progress)
    workshop.place(begun)
    return manifests.read(base.folder)


def _join(
    base: Base,
    recipe: Recipe,
    digests: NDArray[np.uint64] | None,
    begun: Journal,
    workshop: Workshop,
    skipped: Counter[str],
    progress: Callable[[Progress], None],
) -> None:
    """Make the index of the base's files and the new ones. `digests`: of the base's records, if they are replaced."""
    import numpy as np

    for name in base.manifest.files.keys() - {FAISS_FILE}:
        _link(base.folder / name, workshop.index / name)
    training.extend(
        base.folder / FAISS_FILE,
        workshop.index,
        range(base.shards, base.shards + len(begun.shards)),
        lambda done: progress(Progress("add", done, done / (base.manifest.rows + begun.rows))),
    )
    manifest = _joined(base, recipe, begun, workshop, skipped)
    if digests is not None:
        whole = Passages(workshop.index, base.passages.removed)
        fresh = ids.of_records(whole, cut=recipe.chunking.enabled)[base.manifest.rows :]
        rows = np.setdiff1d(np.flatnonzero(np.isin(digests, fresh)), base.passages.removed)
        manifest.appended[-1].replaced = len(rows)
        if len(rows):
            manifest = removal.without(manifest, whole, rows, workshop.index)
    manifest.write(workshop.index)


def _joined(base: Base, recipe: Recipe, begun: Journal, workshop: Workshop, skipped: Counter[str]) -> Manifest:
    manifest, shards = base.manifest, begun.shards
    addition = Addition(
        at=datetime.now(UTC).isoformat(timespec="seconds"),
        source=recipe.source.model_dump(mode="json"),
        lang=recipe.lang,
        passages=begun.rows,
    )
    new = {name: recorded for shard in shards for name, recorded in shard.files.items()}
    faiss = {FAISS_FILE: manifests.checksum(workshop.index / FAISS_FILE)}
    return manifest.model_copy(
        update={
            "rows": manifest.rows + begun.rows,
            "langs": dict(sum((Counter(shard.langs) for shard in shards), Counter(manifest.langs))),
            "skipped": dict(skipped + Counter(manifest.skipped)),
            "truncated": manifest.truncated + sum(shard.truncated for shard in shards),
            "shards": [*(manifest.shards or [manifest.rows]), *(shard.rows for shard in shards)],
            "appended": [*manifest.appended, addition],
            "files": {**manifest.files, **new, **faiss},
        }
    )


def _link(path: Path, other: Path) -> None:
    """Have the file in both places; where the file system cannot, as a copy."""
    try:
        os.link(path, other)
    except OSError:
        shutil.copy2(path, other)
