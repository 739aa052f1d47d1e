"""Measures the recall of searches in a vector database against an exact search; keeps the least sufficient effort."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from qttrag.errors import CollectionError, InputError
from qttrag.indexes.ann import exact
from qttrag.indexes.collection import Collection
from qttrag.indexes.jobs.measured_recall import MIN_GAIN, QuerySample, Trial, fastest, record
from qttrag.stores.database import SPARE, MeasuredRecall
from qttrag.stores.export import content_of
from qttrag.stores.versioned import Version, VersionedCollection


def measure(
    store: VersionedCollection,
    index: Collection,
    sample: QuerySample,
    *,
    target: float,
    k: int,
    on_scan: Callable[[int], None] = lambda rows: None,
    on_trial: Callable[[Trial[int | None]], None] = lambda trial: None,
) -> tuple[MeasuredRecall, list[Trial[int | None]]]:
    """Return the least effort with the recall `target` of the exact best `k`, and all trials; if none has it, the
    effort with the highest recall. The manifest of the collection keeps it, and searches use it.

    `index`: the built index that was exported, for the exact search. Hits count by their passages, not by the scores
    that the database gives them; passages that tie with the last exact one count, too. The rest is as in
    `qttrag.indexes.jobs.tune`.

    Raises:
        CollectionError: the database has other passages than the index. InputError: there are too few passages.
        StageUnavailable: the database does not answer."""
    version = _version_of(store, index)
    best = _exact_ids(index, sample, k, on_scan)
    trials: list[Trial[int | None]] = []
    for effort in store.database.efforts(version.manifest.index) or (None,):
        trials.append(_trial(store, index, sample, best, effort, k))
        on_trial(trials[-1])
        gain = trials[-1].recall - trials[-2].recall if len(trials) > 1 else 1.0
        if trials[-1].reaches(target) or gain < MIN_GAIN:
            break
    chosen = fastest(trials, target)
    measured = MeasuredRecall(effort=chosen.plan, **record(chosen, sample, target=target, k=k))
    tuned = version.manifest.model_copy(update={"tuned": measured})
    store.database.write_manifest(version.name, tuned.model_dump_json())
    store.refresh()
    return measured, trials


def _version_of(store: VersionedCollection, index: Collection) -> Version:
    version = store.published()
    if version is None or version.manifest.content != content_of(index.manifest):
        raise CollectionError(
            f"{store.database.kind} at {store.place} has not the passages of index '{index.manifest.name}'; "
            "export it again"
        )
    return version


def _exact_ids(index: Collection, sample: QuerySample, k: int, on_scan: Callable[[int], None]) -> list[set[str]]:
    """Return, for each query, the ids of the exact best `k` passages and of those that tie with the last."""
    import numpy as np

    candidates = exact.scan(index.vectors, sample.vectors, k + SPARE, left_out=sample.own_rows, progress=on_scan)
    best = []
    for rows, scores in candidates:
        remaining = ~np.isin(rows, index.passages.removed)
        rows, scores = rows[remaining], scores[remaining]
        if len(rows) < k:
            raise InputError(
                f"index '{index.manifest.name}' has too few passages for {k} hits to measure by: measure by fewer with "
                "-k, or compact it if many passages were removed"
            )
        tied = rows[scores >= scores[k - 1] - exact.ROUNDING]
        best.append({index.passages[row].passage_id for row in tied.tolist()})
    return best


def _trial(
    store: VersionedCollection,
    index: Collection,
    sample: QuerySample,
    best: Sequence[set[str]],
    effort: int | None,
    k: int,
) -> Trial[int | None]:
    recalls, seconds = [], []
    for number, (vector, exact_ids) in enumerate(zip(sample.vectors, best, strict=True)):
        start = time.perf_counter()
        (hits,) = store.search_with(effort, vector[None], k if sample.own_rows is None else k + 1, "all")
        seconds.append(time.perf_counter() - start)
        own = None if sample.own_rows is None else index.passages[int(sample.own_rows[number])].passage_id
        ids = [hit.passage.passage_id for hit in hits if hit.passage.passage_id != own]
        recalls.append(min(len(exact_ids.intersection(ids[:k])), k) / k)
    return Trial.of(effort, recalls, seconds)
