"""Collections that `qttrag index build` wrote: a folder with passages, vectors and a FAISS index."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from contextlib import suppress
from pathlib import PurePath
from typing import TYPE_CHECKING, Literal, NamedTuple

from qttrag.encoders import language_means
from qttrag.encoders.language_means import LanguageMeans
from qttrag.errors import CollectionError
from qttrag.indexes.collection import Collection, find, manifest_file, open_index, read_ahead
from qttrag.indexes.storage.manifest import Manifest
from qttrag.types import EncoderInfo, Hit, Lang

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_LOG = logging.getLogger("qttrag.stores")


class _Version(NamedTuple):
    """An open version of an index. `stamp`: of its manifest's file, by which another version is noticed."""

    stamp: tuple[int, int] | None
    collection: Collection


class FaissFolder:
    """Store kind `faiss_folder`. `name`: a built index, or the path of its folder.

    `threads`: searches at the same time; null: as many as there are cores. A new version of the index is searched as
    soon as it is published."""

    def __init__(self, name: str, *, threads: int | None = None) -> None:
        self.location = name
        self._threads = threads
        self._opened: _Version | None = None

    @property
    def name(self) -> str:
        return PurePath(self.location).name

    @property
    def collection(self) -> Collection:
        """Return the open index; a new version, which replaced it on the disk, is opened first.

        A version that cannot be opened, or that has another encoder, is not used: the earlier one stays, with a warning
        in the log.

        Raises:
            CollectionError: there is no index, or it is damaged."""
        opened, stamp = self._opened, _stamp(self.location)
        if opened is None:
            opened = _Version(stamp, open_index(self.location, threads=self._threads))
        elif stamp != opened.stamp:
            opened = _Version(stamp, self._newer(opened.collection))
        self._opened = opened
        return opened.collection

    def _newer(self, earlier: Collection) -> Collection:
        try:
            newer = _open(self.location, self._threads)
        except CollectionError as error:
            _LOG.warning("new version not used", extra={"collection": self.name, "cause": str(error)})
            return earlier
        if (newer.manifest.encoder_revision, newer.manifest.dim) != (
            earlier.manifest.encoder_revision,
            earlier.manifest.dim,
        ):
            cause = "it has another encoder; restart the service"
            _LOG.warning("new version not used", extra={"collection": self.name, "cause": cause})
            return earlier
        return newer

    @property
    def languages(self) -> list[Lang]:
        return [Lang(lang) for lang in self.collection.manifest.langs]

    @property
    def encoder(self) -> EncoderInfo:
        return encoder_of(self.collection.manifest)

    @property
    def identity(self) -> str:
        manifest = self.collection.manifest
        tuned = manifest.tuned and (manifest.tuned.nprobe, manifest.tuned.ef_search, manifest.tuned.depth)
        sums = sorted((name, file.sha256) for name, file in manifest.files.items())
        digest = hashlib.sha256(repr((manifest.encoder_revision, tuned, sums)).encode()).hexdigest()
        return f"faiss_folder:{digest[:16]}"

    @property
    def means(self) -> LanguageMeans:
        """Return the means of its languages, as `qttrag index measure-means` stored them.

        Raises:
            CollectionError: they were not measured, or the file is damaged."""
        manifest, folder = find(self.location).manifest, find(self.location).folder
        names = [name for name in manifest.files if name.startswith(language_means.PREFIX)]
        return language_means.read(folder / names[0] if names else folder)

    def search(
        self, vectors: NDArray[np.float32], k: int, languages: Sequence[Lang] | Literal["all"]
    ) -> list[list[Hit]]:
        return self.collection.search(vectors, k, languages)

    def read_ahead(self) -> int:
        return read_ahead(self.location)


def encoder_of(manifest: Manifest) -> EncoderInfo:
    """Return the encoder of a built index."""
    recipe = manifest.recipe["encoder"]
    return EncoderInfo(
        model=str(recipe["model"]),
        revision=manifest.encoder_revision,
        dim=manifest.dim,
        max_tokens=int(recipe["max_tokens"]),
        query_prefix=str(recipe["query_prefix"]),
        passage_prefix=str(recipe["passage_prefix"]),
    )


def _stamp(location: str) -> tuple[int, int] | None:
    """Return the inode and time of an index's manifest; None where there is none."""
    try:
        stat = manifest_file(location).stat()
    except OSError:
        return None
    return stat.st_ino, stat.st_mtime_ns


def _open(location: str, threads: int | None) -> Collection:
    """Open an index; once more if it is replaced meanwhile."""
    with suppress(CollectionError):
        return open_index(location, threads=threads)
    return open_index(location, threads=threads)
