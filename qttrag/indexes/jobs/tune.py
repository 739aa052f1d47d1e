"""How an index is best searched: the least effort that finds what an exact search finds, measured."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from qttrag.errors import CollectionError, InputError
from qttrag.indexes.ann import exact
from qttrag.indexes.ann.first_stage import AS_BUILT, Candidates, Effort
from qttrag.indexes.collection import SPARE, Collection, Plan
from qttrag.indexes.jobs import workers
from qttrag.indexes.storage import locking as safely
from qttrag.indexes.storage import manifest as manifests
from qttrag.indexes.storage.manifest import Manifest, Tuned

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

NEAR = 0.68  # median cosine of a question's best passage in BERGEN's published BGE-M3 run of XOR-TyDi Korean
_DEPTHS = (2, 4, 8, 16, 32, 64)  # candidates for each hit
_NODES = (64, 128, 256, 512, 1024, 2048)  # of a graph
_LITTLE = 1e-3  # of a direction, at random
_ENOUGH = 3  # efforts that reach the recall and are compared by their time
_STANDSTILL = 0.0005  # of recall; doubling the effort for less leads nowhere


class Sample(NamedTuple):
    """Queries to measure by: unit vectors, float32. `own`: for each a row that it must not find; `words`: what they
    are."""

    vectors: NDArray[np.float32]
    own: NDArray[np.int64] | None
    words: str


class Trial(NamedTuple):
    """A plan, the mean recall it had and its standard error, and the milliseconds of the median query, searched
    alone."""

    plan: Plan
    recall: float
    error: float
    ms: float

    def reaches(self, wanted: float) -> bool:
        """Say whether the recall is reached by more than its standard error: other queries are to reach it, too."""
        return self.recall - self.error >= wanted


def own_passages(collection: Collection, n: int, *, seed: int = 0) -> Sample:
    """Return queries near passages of the index, as near as questions are to their best passages.

    As they are, passages would flatter the index: each would find itself, and its neighbours in its own list. So each
    vector is turned to a cosine of 0.68 with what it was, and its passage does not count as a hit. It is turned towards
    the difference of two other passages, for these lie in the directions in which passages differ; a random direction
    is nearly at right angles to all of them and would flatter, too."""
    import numpy as np

    random = np.random.default_rng(seed)
    rows = np.sort(random.choice(len(collection.vectors), min(n, len(collection.vectors)), replace=False))
    passages = _unit(collection.vectors.take(rows))
    one, other = (collection.vectors.take(random.integers(0, len(collection.vectors), len(rows))) for _ in range(2))
    away = one - other + _LITTLE * random.standard_normal(passages.shape, np.float32)  # the two may be equal
    away -= (away * passages).sum(axis=1, keepdims=True) * passages
    vectors = _unit(NEAR * passages + (1 - NEAR**2) ** 0.5 * _unit(away))
    return Sample(vectors, rows, f"its own passages turned to a cosine of {NEAR} and left out of their results")


def questions(manifest: Manifest, path: Path) -> Sample:
    """Return the questions in a file, one a line, as the index's own encoder encodes them.

    Raises:
        InputError: there is none in it, or it is not UTF-8 text. ConfigError: the encoder is not to be had."""
    import numpy as np

    from qttrag.indexes.recipe import Recipe

    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines()]
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 ({error.reason} at byte {error.start})") from error
    texts = [line for line in lines if line]
    if not texts:
        raise InputError(f"{path}: no question in it; write one on each line")
    recipe = Recipe(**manifest.recipe)
    encoder = workers.of_questions(recipe.encoder, of=f"the encoder of index '{manifest.name}'")
    if encoder.revision != manifest.encoder_revision:
        raise CollectionError(
            f"index '{manifest.name}' was built with {recipe.encoder.model} ({manifest.encoder_revision}), here is "
            f"{encoder.revision}; fetch that revision, or tune without --queries"
        )
    parts = [encoder.encode([recipe.encoder.query_prefix + text]) for text in texts]
    return Sample(np.concatenate(parts), None, f"questions of {path.name}")


def tune(
    collection: Collection,
    sample: Sample,
    *,
    wanted: float,
    k: int,
    best: Sequence[Candidates] | None = None,
    scanned: Callable[[int], None] = lambda rows: None,
    tried: Callable[[Trial], None] = lambda trial: None,
) -> tuple[Tuned, list[Trial]]:
    """Return the fastest plan of those tried that reaches the recall `wanted` of the exact best `k`, or the best if
    none does.

    Effort is doubled from the least; for each that can reach the recall, the least depth is sought that does. `best`:
    the exact best, where they are known already.

    Raises:
        InputError: there are too few passages."""
    if len(collection.passages) <= k:
        raise InputError(
            f"index '{collection.manifest.name}' has {len(collection.passages)} passages, no more than the {k} best; "
            "there is nothing to tune, or measure by fewer: -k"
        )
    if best is None:
        best = exact.scan(collection.vectors, sample.vectors, k, left_out=sample.own, progress=scanned)
    trials: list[Trial] = []
    for trial in _trials(collection, sample, best, wanted, k):
        trials.append(trial)
        tried(trial)
    reached = [trial for trial in trials if trial.reaches(wanted)]
    chosen = min(reached, key=lambda t: t.ms) if reached else max(trials, key=lambda t: (t.recall, -t.ms))
    tuned = Tuned(
        nprobe=chosen.plan.effort.nprobe,
        ef_search=chosen.plan.effort.ef_search,
        depth=chosen.plan.depth,
        k=k,
        recall=round(chosen.recall, 5),
        error=round(chosen.error, 5),
        wanted=wanted,
        queries=len(sample.vectors),
        sample=sample.words,
        ms=round(chosen.ms, 3),
        rows=len(collection.passages),
        measured=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    return tuned, trials


def keep(folder: Path, manifest: Manifest, tuned: Tuned) -> Manifest:
    """Write into an index's manifest how it is to be searched, durably; return it.

    Raises:
        CollectionError: the index is being built, or was built again while it was tuned."""
    with safely.alone(folder):
        now = manifests.read(folder)
        if (now.built, now.rows, now.files) != (manifest.built, manifest.rows, manifest.files):
            raise CollectionError(f"index '{manifest.name}' was changed while it was tuned; tune it again")
        made = now.model_copy(update={"tuned": tuned})
        made.write(folder)
        return made


def _trials(
    collection: Collection, sample: Sample, best: Sequence[Candidates], wanted: float, k: int
) -> Iterator[Trial]:
    rows = len(collection.passages)
    depths = sorted({min(max(factor * k, k + SPARE), rows) for factor in _DEPTHS})
    reached, before = 0, -1.0
    for effort in _efforts(collection):
        most = _measured(collection, sample, best, Plan(effort, depths[-1]), k)
        yield most
        if most.reaches(wanted):
            for depth in depths[:-1]:
                trial = _measured(collection, sample, best, Plan(effort, depth), k)
                yield trial
                if trial.reaches(wanted):
                    break
            reached += 1
        if reached == _ENOUGH or (before > 0 and most.recall - before < _STANDSTILL):
            return
        before = most.recall


def _efforts(collection: Collection) -> list[Effort]:
    stage = collection.first_stage
    if stage.lists is not None:
        return [Effort(nprobe=min(1 << power, stage.lists)) for power in range((stage.lists - 1).bit_length() + 1)]
    return [Effort(ef_search=nodes) for nodes in _NODES] if stage.is_graph else [AS_BUILT]


def _measured(collection: Collection, sample: Sample, best: Sequence[Candidates], plan: Plan, k: int) -> Trial:
    found, seconds = [], []
    for query in sample.vectors:
        start = time.perf_counter()
        found += collection.nearest(query[None], k if sample.own is None else k + 1, plan=plan)
        seconds.append(time.perf_counter() - start)
    if sample.own is not None:
        found = [exact.without(each, own, len(each.rows)) for each, own in zip(found, sample.own, strict=True)]
    shares = [exact.recall(each, of) for each, of in zip(found, best, strict=True)]
    mean = statistics.fmean(shares)
    error = (statistics.pvariance(shares, mean) / len(shares)) ** 0.5
    return Trial(plan, mean, error, sorted(seconds)[len(seconds) // 2] * 1000)


def _unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    import numpy as np

    made: NDArray[np.float32] = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return made
