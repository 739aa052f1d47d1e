"""An index of vectors that are there already: written in shards and as durably as one that is encoded here."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from qttrag.indexes.ann import training
from qttrag.indexes.jobs import build as building
from qttrag.indexes.jobs.build import Progress
from qttrag.indexes.recipe import Recipe
from qttrag.indexes.sources.records import Position, Taken
from qttrag.indexes.storage.journal import Journal, Workshop
from qttrag.indexes.storage.manifest import Manifest
from qttrag.indexes.storage.shards import ShardWriter
from qttrag.types import Passage

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Maker(NamedTuple):
    """What the vectors were made by: an encoder of this revision, that reads so much of a text."""

    revision: str
    dim: int
    max_tokens: int


class Piece(NamedTuple):
    """Passages with their vectors, float32, unit length, a row each.

    `ids`: digests of the passages' ids; `position` in the source after them; `share` of it that is read then."""

    passages: list[Passage]
    vectors: NDArray[np.float32]
    ids: list[int]
    position: Position
    share: float


def build(
    recipe: Recipe,
    maker: Maker,
    terms: Mapping[str, Any],
    pieces: Callable[[Journal, Workshop], Iterator[Piece]],
    *,
    overwrite: bool = False,
    restart: bool = False,
    progress: Callable[[Progress], None] = lambda progress: None,
) -> Manifest:
    """Build an index of what `pieces` yields after the passages of a journal, and return its manifest.

    The same call goes on where one was broken off. `recipe` is what the manifest tells; `terms`: what else must not
    change in between. The rest is as in `qttrag.indexes.jobs.build.build`.

    Raises:
        CollectionError: the index is there already and `overwrite` is off, or another process is building it, or it
            is half built on other terms, or there is no room for it.
        ConfigError: FAISS cannot make such an index."""

    def work(workshop: Workshop) -> Manifest:
        training.check(recipe, maker.dim)
        journal = workshop.begin({**recipe.model_dump(mode="json", exclude=building.FREE), **terms})
        if (made := building.finished(recipe, workshop)) is None:
            made = _write(recipe, maker, journal, workshop, pieces, progress)
        workshop.place(journal)
        return made

    return building.made_aside(recipe, work, overwrite=overwrite, restart=restart)


def _write(
    recipe: Recipe,
    maker: Maker,
    journal: Journal,
    workshop: Workshop,
    pieces: Callable[[Journal, Workshop], Iterator[Piece]],
    progress: Callable[[Progress], None],
) -> Manifest:
    journal.made = ""
    workshop.sweep(journal)
    shard, done, rows = ShardWriter(workshop, journal, maker.dim), journal.rows, 0
    for piece in pieces(journal, workshop):
        shard.append(piece.passages, piece.vectors, taken=Taken(piece.ids, Counter()))
        done, rows = done + len(piece.passages), rows + len(piece.passages)
        progress(Progress("encode", done, piece.share))
        if rows >= recipe.shard_rows:
            shard.close(piece.position)
            rows = 0
    if rows:
        shard.close(piece.position)
    return building.finish(recipe, maker, journal, workshop, Counter(), progress)
