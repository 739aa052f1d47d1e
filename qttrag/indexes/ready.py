"""An index of vectors that are there already: written in shards and as durably as one that is encoded here."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from qttrag import resources
from qttrag.errors import CollectionError
from qttrag.indexes import build as building
from qttrag.indexes import encoding, training
from qttrag.indexes import manifest as manifests
from qttrag.indexes.build import Progress
from qttrag.indexes.journal import Journal, Workshop
from qttrag.indexes.manifest import Manifest
from qttrag.indexes.recipe import Recipe
from qttrag.indexes.sources import Position, Taken
from qttrag.types import Passage

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from qttrag.encoders import Encoder


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
    change in between. The rest is as in `qttrag.indexes.build.build`.

    Raises:
        CollectionError: the index is there already and `overwrite` is off, or another process is building it, or it
            is half built on other terms, or there is no room for it.
        ConfigError: FAISS cannot make such an index."""
    target = resources.built_folder() / recipe.name
    building._make(target.parent)
    with building._alone(target):
        workshop = Workshop(target)
        finished = workshop.tidy()
        if restart:
            workshop.remove()
        elif finished and (done := manifests.read(target)).recipe_digest == recipe.digest:
            return done
        if target.exists() and not overwrite:
            raise CollectionError(f"index '{recipe.name}' is there already ({target}); replace it with --overwrite")
        with building._keeping(recipe, workshop):
            training.check(recipe, maker.dim)
            journal = workshop.begin({**recipe.model_dump(mode="json", exclude=building._FREE), **terms})
            if (made := building._made(recipe, workshop)) is None:
                made = _write(recipe, cast("Encoder", maker), journal, workshop, pieces, progress)
            workshop.place(journal)
            return made


def _write(
    recipe: Recipe,
    maker: Encoder,
    journal: Journal,
    workshop: Workshop,
    pieces: Callable[[Journal, Workshop], Iterator[Piece]],
    progress: Callable[[Progress], None],
) -> Manifest:
    import numpy as np

    journal.made = ""
    workshop.sweep(journal)
    shard, done, rows = encoding._ShardWriter(workshop, journal, maker), journal.rows, 0
    for piece in pieces(journal, workshop):
        lengths, taken = np.zeros(len(piece.passages), np.int64), Taken(piece.ids, Counter())
        window = encoding.Window(piece.passages, lengths, [], piece.position, piece.share, taken, closes=False)
        shard.append(window, piece.vectors)
        done, rows = done + len(piece.passages), rows + len(piece.passages)
        progress(Progress("encode", done, piece.share))
        if rows >= recipe.shard_rows:
            shard.close(piece.position)
            rows = 0
    if rows:
        shard.close(piece.position)
    factory = training.write(
        recipe, journal, workshop, lambda step, n: progress(building._of_vectors(step, n, journal))
    )
    made = building._manifest(recipe, maker, journal, workshop, Counter(), factory)
    made.write(workshop.index)
    return made
