"""Chooses how to search an index: measures recall and time of search plans, and keeps the fastest that suffices."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from qttrag.errors import CollectionError, InputError
from qttrag.indexes.ann import exact
from qttrag.indexes.ann.first_stage import AS_BUILT, Candidates, Effort
from qttrag.indexes.collection import Collection, Plan
from qttrag.indexes.jobs import plan_search
from qttrag.indexes.jobs.measured_recall import QuerySample, Trial, fastest, record
from qttrag.indexes.jobs.workers import OpenEncoder, load_question_encoder, question_settings
from qttrag.indexes.recipe import Recipe
from qttrag.indexes.sources.lines import plain_lines
from qttrag.indexes.storage.locking import exclusive_lock
from qttrag.indexes.storage.manifest import Manifest, Tuned, read_manifest

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

NEAR = 0.68  # median cosine of a question's best passage in BERGEN's published BGE-M3 run of XOR-TyDi Korean
_GRAPH_NODES = (64, 128, 256, 512, 1024, 2048)
_NOISE = 1e-3  # random part of a direction


def sample_passages(collection: Collection, n: int, *, seed: int = 0) -> QuerySample:
    """Return queries near passages of the index, as near as questions are to their best passages.

    Passages themselves would overestimate the recall: each finds itself, and its neighbours in its own list. So each
    vector is rotated to a cosine of 0.68 with its passage, which does not count as a hit. It is rotated towards the
    difference of two other passages, since these span the directions in which passages differ; a random direction is
    nearly orthogonal to all of them and would overestimate, too."""
    import numpy as np

    random = np.random.default_rng(seed)
    rows = np.sort(random.choice(len(collection.vectors), min(n, len(collection.vectors)), replace=False))
    passages = _unit(collection.vectors.take(rows))
    one, other = (collection.vectors.take(random.integers(0, len(collection.vectors), len(rows))) for _ in range(2))
    direction = one - other + _NOISE * random.standard_normal(passages.shape, np.float32)  # the two may be equal
    direction -= (direction * passages).sum(axis=1, keepdims=True) * passages
    vectors = _unit(NEAR * passages + (1 - NEAR**2) ** 0.5 * _unit(direction))
    return QuerySample(vectors, rows, f"its own passages turned to a cosine of {NEAR} and left out of their results")


def sample_questions(
    manifest: Manifest, path: Path, *, open_encoder: OpenEncoder, in_process: bool = False
) -> QuerySample:
    """Return the questions in a file, one per line, encoded by the index's own encoder. `in_process`: without servers.

    Raises:
        InputError: the file has no question, or is not UTF-8. ConfigError: the encoder cannot be loaded."""
    import numpy as np

    questions = _read_questions(path)
    recipe = Recipe(**manifest.recipe)
    owner = f"the encoder of index '{manifest.name}'"
    settings = question_settings(recipe.encoder, in_process=in_process)
    encoder = load_question_encoder(settings, owner=owner, open_encoder=open_encoder)
    if encoder.info.revision != manifest.encoder_revision:
        raise CollectionError(
            f"index '{manifest.name}' was built with {recipe.encoder.model} ({manifest.encoder_revision}), the encoder "
            f"here is {encoder.info.revision}; fetch that revision, or tune without --queries"
        )
    vectors = [encoder.encode([recipe.encoder.query_prefix + question]) for question in questions]
    return QuerySample(np.concatenate(vectors), None, f"questions of {path.name}")


def _read_questions(path: Path) -> list[str]:
    with path.open("rb") as stream:
        questions = plain_lines(stream, str(path))
    if not questions:
        raise InputError(f"{path}: no question in it; write one per line")
    return questions


def tune(
    collection: Collection,
    sample: QuerySample,
    *,
    target: float,
    k: int,
    best: Sequence[Candidates] | None = None,
    on_scan: Callable[[int], None] = lambda rows: None,
    on_trial: Callable[[Trial[Plan]], None] = lambda trial: None,
) -> tuple[Tuned, list[Trial[Plan]]]:
    """Return the fastest plan that reaches the recall `target` of the exact best `k`, and all trials; if none reaches
    it, the plan with the highest recall.

    The plans measured are those of `plan_search`. `best`: the exact best, if known.
    `on_scan`: called with the rows scanned for them; `on_trial`: after each trial.

    Raises:
        InputError: there are too few passages."""
    if len(collection.passages) <= k:
        raise InputError(
            f"index '{collection.manifest.name}' has {len(collection.passages)} passages, no more than the {k} hits to "
            "measure by: nothing to tune; measure by fewer with -k"
        )
    if best is None:
        best = exact.scan(collection.vectors, sample.vectors, k, left_out=sample.own_rows, progress=on_scan)
    trials: list[Trial[Plan]] = []
    measure = partial(_measure, collection, sample, best, k)
    efforts = _efforts(collection)
    for trial in plan_search.trials(measure, efforts, target=target, k=k, rows=len(collection.passages)):
        trials.append(trial)
        on_trial(trial)
    chosen = fastest(plan_search.undominated([t for t in trials if t.reaches(target)]) or trials, target)
    effort, depth = chosen.plan
    tuned = Tuned(
        nprobe=effort.nprobe,
        ef_search=effort.ef_search,
        depth=depth,
        rows=len(collection.passages),
        **record(chosen, sample, target=target, k=k),
    )
    return tuned, trials


def save(folder: Path, manifest: Manifest, tuned: Tuned) -> Manifest:
    """Write the plan into the manifest of an index, atomically; return the manifest.

    Raises:
        CollectionError: the index is locked, or has changed since `manifest` was read."""
    with exclusive_lock(folder):
        current = read_manifest(folder)
        if (current.built, current.rows, current.files) != (manifest.built, manifest.rows, manifest.files):
            raise CollectionError(f"index '{manifest.name}' was changed while it was tuned; tune it again")
        updated = current.model_copy(update={"tuned": tuned})
        updated.write(folder)
        return updated


def _efforts(collection: Collection) -> list[Effort]:
    stage = collection.first_stage
    if stage.lists is not None:
        return [Effort(nprobe=min(1 << power, stage.lists)) for power in range((stage.lists - 1).bit_length() + 1)]
    return [Effort(ef_search=nodes) for nodes in _GRAPH_NODES] if stage.is_graph else [AS_BUILT]


def _measure(
    collection: Collection, sample: QuerySample, best: Sequence[Candidates], k: int, plan: Plan
) -> Trial[Plan]:
    results, seconds = [], []
    for query in sample.vectors:
        start = time.perf_counter()
        results += collection.nearest(query[None], k if sample.own_rows is None else k + 1, plan=plan)
        seconds.append(time.perf_counter() - start)
    if sample.own_rows is not None:
        results = [
            exact.without(result, row, len(result.rows)) for result, row in zip(results, sample.own_rows, strict=True)
        ]
    recalls = [exact.recall(result, of) for result, of in zip(results, best, strict=True)]
    return Trial.of(plan, recalls, seconds)


def _unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    import numpy as np

    unit: NDArray[np.float32] = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return unit
