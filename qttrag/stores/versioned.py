"""A collection in a vector database: the version that its alias names."""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Literal, NamedTuple

from qttrag.errors import CollectionError, StageUnavailable
from qttrag.stores.database import (
    PREFIX,
    SPARE,
    SearchSettings,
    StoredManifest,
    VectorDatabase,
    VersionMissing,
    read_manifest,
)
from qttrag.types import EncoderInfo, Hit, Lang, TokenWeights

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_LOG = logging.getLogger("qttrag.stores")
_REFRESH_S = 5.0  # after which a new version is looked for


class Version(NamedTuple):
    """A version of a collection in a database, and its manifest."""

    name: str
    manifest: StoredManifest


class _Opened(NamedTuple):
    """The version in use. `at`: when it was last looked up, by `time.monotonic`."""

    version: Version
    at: float


class VersionedCollection:
    """The store of a collection that `qttrag index export` wrote into a database.

    Its passages are in the database; no folder of an index is read. A new version is searched within 5 seconds of its
    publication; one with another encoder is not used, with a warning in the log."""

    def __init__(self, name: str, database: VectorDatabase) -> None:
        self._name = name
        self.database = database
        self._opened: _Opened | None = None

    @property
    def name(self) -> str:
        return self._name

    @property
    def place(self) -> str:
        return self.database.place

    @property
    def alias(self) -> str:
        return alias_of(self._name)

    @property
    def manifest(self) -> StoredManifest:
        """Return the manifest of the version in use.

        Raises:
            CollectionError: there is none, or it is damaged. StageUnavailable: the database does not answer."""
        return self._open().version.manifest

    @property
    def languages(self) -> list[Lang]:
        return [Lang(lang) for lang in self.manifest.langs]

    @property
    def encoder(self) -> EncoderInfo:
        return self.manifest.encoder_info

    @property
    def identity(self) -> str:
        version, manifest = self._open().version
        parts = (version, manifest.content, manifest.tuned and manifest.tuned.effort)
        return f"{self.database.kind}:{hashlib.sha256(repr(parts).encode()).hexdigest()[:16]}"

    def published(self) -> Version | None:
        """Return the version that the alias names now; None: there is none.

        Raises:
            CollectionError: it is another collection's, or was not made by qttrag."""
        name = self.database.version_of(self.alias)
        return None if name is None else self.read(name)

    def read(self, name: str) -> Version:
        """Return a version with its manifest.

        Raises:
            CollectionError: it is another collection's, or was not made by qttrag."""
        where = f"collection '{name}' of {self.database.kind} at {self.place}"
        manifest = read_manifest(self.database.manifest(name), where=where)
        if manifest.name != self._name:
            raise CollectionError(f"{where} holds '{manifest.name}', not '{self._name}'; rename one of the two")
        return Version(name, manifest)

    def refresh(self) -> None:
        """Look up the version at the next use, after a change by this process."""
        self._opened = None

    def search(
        self, vectors: NDArray[np.float32], k: int, languages: Sequence[Lang] | Literal["all"]
    ) -> list[list[Hit]]:
        """Return hits as `VectorStore.search` does; ties are broken by id among `k` + 32 hits of the database."""
        tuned = self.manifest.tuned
        return self.search_with(None if tuned is None else tuned.effort, vectors, k, languages)

    def search_with(
        self, effort: int | None, vectors: NDArray[np.float32], k: int, languages: Sequence[Lang] | Literal["all"]
    ) -> list[list[Hit]]:
        """Search with another effort than the measured one. The rest is as in `search`."""

        def found(version: Version) -> list[list[Hit]]:
            settings = SearchSettings(k + SPARE, languages, effort, version.manifest.index)
            return self.database.search(version.name, vectors, settings)

        return [_best(hits, k) for hits in self._of_current_version(found)]

    def check_weights(self) -> None:
        """Raises CollectionError if the passages have no weights."""
        if not self.manifest.sparse:
            raise CollectionError(
                f"collection '{self._name}' of {self.database.kind} at {self.place} has no weights of tokens; add "
                f"`sparse: true` to its recipe, build it again and export it: qttrag index export {self._name} --to ..."
            )

    def search_weights(
        self, weights: TokenWeights, k: int, languages: Sequence[Lang] | Literal["all"]
    ) -> list[list[Hit]]:
        """Return hits as `WeightedStore.search_weights` does; ties are broken as in `search`."""

        def found(version: Version) -> list[list[Hit]]:
            self.check_weights()
            settings = SearchSettings(k + SPARE, languages, None, version.manifest.index)
            return self.database.search_weights(version.name, weights, settings)

        return [_best([hit for hit in hits if hit.score > 0], k) for hits in self._of_current_version(found)]

    def _of_current_version(self, search: Callable[[Version], list[list[Hit]]]) -> list[list[Hit]]:
        try:
            return search(self._open().version)
        except VersionMissing:  # a new one has replaced it since it was looked up
            self.refresh()
            return search(self._open().version)

    def _open(self) -> _Opened:
        opened = self._opened
        if opened is None:
            opened = self._look_up()
        elif time.monotonic() - opened.at > _REFRESH_S:
            opened = self._refreshed(opened)
        self._opened = opened
        return opened

    def _look_up(self) -> _Opened:
        version = self.published()
        if version is None:
            raise CollectionError(
                f"{self.database.kind} at {self.place} has no collection '{self._name}'; "
                f"export it: qttrag index export {self._name} --to {self.database.kind}:..."
            )
        return _Opened(version, time.monotonic())

    def _refreshed(self, earlier: _Opened) -> _Opened:
        newer = earlier
        with suppress(StageUnavailable):  # the search itself reports it
            newer = self._look_up()
        if newer.version.manifest.encoder != earlier.version.manifest.encoder:
            cause = "it has another encoder; restart the service"
            _LOG.warning("new version not used", extra={"collection": self._name, "cause": cause})
            newer = earlier
        return newer._replace(at=time.monotonic())


def _best(hits: Sequence[Hit], k: int) -> list[Hit]:
    return sorted(hits, key=lambda hit: (-hit.score, hit.passage.passage_id))[:k]


def alias_of(name: str) -> str:
    """Return the alias of a collection; Milvus allows letters, digits and underscores only."""
    return PREFIX + name.replace("-", "_")


def version_name(name: str, number: int) -> str:
    """Return the name of a version. The capital letter keeps it apart from aliases, whose letters are small."""
    return f"{alias_of(name)}_V{number}"


def versions_of(name: str, collections: Sequence[str]) -> dict[str, int]:
    """Return the versions of a collection among the names of all, with their numbers."""
    start = f"{alias_of(name)}_V"
    ends = {version: version.removeprefix(start) for version in collections if version.startswith(start)}
    return {version: int(end) for version, end in ends.items() if end.isdigit()}
