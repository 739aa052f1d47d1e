"""What a vector database has to do to hold collections; each kind of database is one file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

from pydantic import BaseModel, ConfigDict, ValidationError

from qttrag.errors import CollectionError, first_line
from qttrag.types import EncoderInfo, Hit, Lang, Passage, Place, TokenWeights

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

LAYOUT = 1
PREFIX = "qttrag_"  # of the names of all collections in a database
SPARE = 32  # hits beyond those asked for, so that ties with the last one are broken by passage id


class VersionMissing(CollectionError):
    """The database has no such version of a collection; another one may have replaced it."""


class MeasuredRecall(BaseModel):
    """The recall of searches, measured by `qttrag index tune`, and the effort of these searches.

    `effort`: graph nodes or lists that a search visits, for `k` hits; None: the index has no such setting. `recall`:
    mean share of the exact best `k` among the hits; `error`: its standard error; `wanted`: the recall asked for; `ms`:
    median milliseconds of one query alone; `sample`: what the queries are."""

    model_config = ConfigDict(extra="forbid")
    effort: int | None
    k: int
    recall: float
    error: float
    wanted: float
    queries: int
    sample: str
    ms: float
    measured: str


class StoredManifest(BaseModel):
    """What one version of a collection contains. The database keeps it beside the vectors.

    `state`: "loading" until every passage is stored; "updating" while passages are appended and removed in place.
    `content`: a digest of the built index that it was exported from. `index`: settings of the database's own index.
    `sparse`: whether passages have learned weights of tokens. `rows`: passages; `langs`: passages by language.
    `shards`: number of the index's shards that are stored; `shards_digest`: their digest. `tuned`: None: not
    measured."""

    model_config = ConfigDict(extra="forbid")
    layout: int = LAYOUT
    name: str
    qttrag: str
    exported: str
    state: Literal["loading", "complete", "updating"]
    content: str
    index: dict[str, Any]
    encoder: dict[str, Any]
    sparse: bool = False
    rows: int
    langs: dict[str, int]
    shards: int
    shards_digest: str
    tuned: MeasuredRecall | None = None

    @property
    def encoder_info(self) -> EncoderInfo:
        return EncoderInfo(**self.encoder)


def read_manifest(text: str | None, *, where: str) -> StoredManifest:
    """Return the manifest that a database keeps as `text`. `where`: names the collection in errors.

    Raises:
        CollectionError: there is none, it is damaged, or another version of qttrag wrote it."""
    if text is None:
        raise CollectionError(f"{where} was not made by qttrag index export; choose another name")
    try:
        manifest = StoredManifest.model_validate_json(text)
    except ValidationError as error:
        raise CollectionError(f"{where}: its manifest is damaged ({first_line(error)}); export it again") from error
    if manifest.layout != LAYOUT:
        raise CollectionError(f"{where}: layout {manifest.layout}, this qttrag reads {LAYOUT}; export it again")
    return manifest


@dataclass(frozen=True, slots=True)
class SearchSettings:
    """How a version is searched, for up to `k` hits, among passages in `languages` only.

    `effort`: graph nodes or lists to visit; None: the setting of the kind. `index`: as in the version's manifest."""

    k: int
    languages: Sequence[Lang] | Literal["all"]
    effort: int | None
    index: Mapping[str, Any]


class VectorDatabase(Protocol):
    """A database of vectors. It connects on first use and again after a failure; one thread at a time calls it.

    Every method raises StageUnavailable if the database is down, overloaded or slower than its `timeout:`, ConfigError
    if a library is not installed or the key is refused, and VersionMissing if there is no such version."""

    @property
    def kind(self) -> str: ...

    @property
    def place(self) -> str:
        """Return the address, without keys, for the operator. Stores at one place are searched one after another."""
        ...

    @property
    def index(self) -> dict[str, Any]:
        """Return the kind and settings of the vector index of new versions, as JSON."""
        ...

    def version_of(self, alias: str) -> str | None:
        """Return the version that an alias names; None: there is no such alias."""
        ...

    def collections(self) -> list[str]:
        """Return the names of all collections, without aliases."""
        ...

    def manifest(self, version: str) -> str | None:
        """Return the manifest, as JSON; None: the collection has none."""
        ...

    def write_manifest(self, version: str, manifest: str) -> None: ...

    def create(self, version: str, dim: int, manifest: str, *, rows: int, sparse: bool = False) -> None:
        """Make an empty version. `rows`: passages that it will have. `sparse`: whether they have weights of tokens."""
        ...

    def upsert(
        self,
        version: str,
        passages: Sequence[Passage],
        vectors: NDArray[np.float32],
        weights: TokenWeights | None = None,
    ) -> None:
        """Store passages under their ids, in place of earlier ones; they are durable on return.

        `weights`: of the passages' tokens, where the version was created with `sparse`.

        Raises:
            InputError: a passage is longer than the database stores."""
        ...

    def delete(self, version: str, ids: Sequence[str]) -> None:
        """Delete the passages with these ids; ids without a passage are ignored."""
        ...

    def finish(self, version: str) -> None:
        """Wait until searches use the index."""
        ...

    def count(self, version: str) -> int:
        """Return the number of passages."""
        ...

    def search(self, version: str, vectors: NDArray[np.float32], settings: SearchSettings) -> list[list[Hit]]:
        """Return the hits of each query in any order, with inner products as scores."""
        ...

    def search_weights(self, version: str, weights: TokenWeights, settings: SearchSettings) -> list[list[Hit]]:
        """Return the hits of each query in any order, with the sums of products of weights as scores; the search is
        exact. `weights`: of the queries' tokens; each query has some."""
        ...

    def efforts(self, index: Mapping[str, Any]) -> Sequence[int]:
        """Return the efforts worth trying for a version's index, ascending; none for an exact search."""
        ...

    def point(self, alias: str, version: str) -> None:
        """Have the alias name this version, in one step."""
        ...

    def drop(self, version: str) -> None:
        """Delete a version."""
        ...


def place_fields(passage: Passage) -> dict[str, Any]:
    """Return the place of a passage in its document as JSON; empty without one."""
    place = passage.place
    return {} if place is None else {"file": place.file, "page": place.page, "headings": list(place.headings)}


def place_of(fields: dict[str, Any] | None) -> Place | None:
    """Return the place that `place_fields` made into JSON."""
    return Place(fields["file"], fields["page"], tuple(fields["headings"])) if fields else None
