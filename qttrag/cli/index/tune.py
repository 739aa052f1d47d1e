"""`qttrag index tune`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from qttrag.cli import output
from qttrag.cli.index.options import InProcess, Name
from qttrag.cli.index.summary import format_recall

if TYPE_CHECKING:
    from qttrag.indexes.collection import Collection, Plan
    from qttrag.indexes.jobs.measured_recall import QuerySample, Trial
    from qttrag.indexes.storage.manifest import Tuned


def tune(
    name: Name,
    recall: Annotated[float, typer.Option(min=0.01, max=1.0, help="Required share of the exact hits.")] = 0.98,
    k: Annotated[int, typer.Option("-k", min=1, max=1000, help="Hits per question to measure by.")] = 50,
    queries: Annotated[
        Path | None, typer.Option(help="A file of questions, one per line; default: passages of the index, varied.")
    ] = None,
    n: Annotated[int, typer.Option("-n", min=1, help="The number of passages to use as questions.")] = 500,
    in_process: InProcess = False,
    store: Annotated[
        str | None,
        typer.Option("--store", help="Measure searches in the database that the index was exported to, as for export."),
    ] = None,
    as_json: output.Json = False,
) -> None:
    """Choose how to search an index: find the fastest plan with the required recall, and save it in the manifest.

    All vectors are read once for an exact search of the questions. Then plans are measured: how many lists or graph
    nodes to visit, and how many candidates to score with the stored vectors. A plan suffices if its recall minus the
    standard error reaches the required recall. With --store, searches in a database are measured, and the number of
    nodes or lists is kept there.

    Examples:

      qttrag index tune wiki-en --recall 0.98

      qttrag index tune wiki-ko -k 20 --queries questions.txt

      qttrag index tune wiki-ko --store milvus://milvus:19530
    """
    from qttrag.application.factory import open_encoder
    from qttrag.indexes.collection import find, open_index
    from qttrag.indexes.jobs.tune import sample_passages, sample_questions, save

    folder, _ = find(name)
    collection = open_index(name, threads=1)
    if queries:
        sample = sample_questions(collection.manifest, queries, in_process=in_process, open_encoder=open_encoder)
    else:
        sample = sample_passages(collection, n)
    if store is not None:
        _tune_store(store, collection, sample, recall, k, as_json=as_json)
        return
    tuned, trials = _measure(collection, sample, recall, k)
    save(folder, collection.manifest, tuned)
    if as_json:
        output.say_json({"tuned": tuned.model_dump(mode="json"), "tried": [_trial_as_dict(trial) for trial in trials]})
        return
    rows = [_trial_row(trial, tuned) for trial in trials]
    output.console().print(output.table("", "lists", "nodes", "candidates", "recall", "ms a query", rows=rows))
    output.say(f"recall@{k} over {tuned.queries} queries: {tuned.sample}; each searched alone, on one thread")
    measured = format_recall(tuned.recall, tuned.error)
    if any(trial.reaches(recall) for trial in trials):
        output.say(f"{name}: saved in its manifest, with a recall of {measured}")
    else:
        output.say(
            f"{name}: a recall of {recall:g} is not possible with '{collection.factory}'; the best plan ({measured}) "
            "is saved. Build it with more bits per dimension (RaBitQ4, SQ8) or Flat"
        )


def _tune_store(
    address: str, collection: Collection, sample: QuerySample, recall: float, k: int, *, as_json: bool
) -> None:
    from qttrag.application.store_addresses import store_at
    from qttrag.stores.recall import measure

    measured, trials = measure(store_at(address, collection.manifest.name), collection, sample, target=recall, k=k)
    if as_json:
        output.say_json(
            {"tuned": measured.model_dump(mode="json"), "tried": [_store_trial_as_dict(trial) for trial in trials]}
        )
        return
    rows = [
        [
            "→" if trial.plan == measured.effort else "",
            "–" if trial.plan is None else f"{trial.plan:,}",
            format_recall(trial.recall, trial.error),
            f"{trial.ms:.2f}",
        ]
        for trial in trials
    ]
    output.console().print(output.table("", "nodes or lists", "recall", "ms a query", rows=rows))
    is_reached = any(trial.reaches(recall) for trial in trials)
    output.say(
        f"recall@{k} over {measured.queries} queries: {measured.sample}; each searched alone. "
        + ("Kept in the database" if is_reached else f"A recall of {recall:g} was not reached; the best is kept")
    )


def _measure(collection: Collection, sample: QuerySample, recall: float, k: int) -> tuple[Tuned, list[Trial[Plan]]]:
    from rich.progress import Progress

    from qttrag.indexes.jobs.tune import tune

    total = len(collection.passages)
    with Progress(console=output.console(stderr=True), transient=True) as bars:
        task = bars.add_task(f"exact search of {total:,} passages", total=total)

        def show_scan(rows: int) -> None:
            bars.update(task, completed=rows)

        def show_trial(trial: Trial[Plan]) -> None:
            bars.update(task, description=f"measuring: recall {trial.recall:.4f} in {trial.ms:.1f} ms", total=None)

        return tune(collection, sample, target=recall, k=k, on_scan=show_scan, on_trial=show_trial)


def _trial_row(trial: Trial[Plan], tuned: Tuned) -> list[str]:
    effort, depth = trial.plan
    chosen = (effort.nprobe, effort.ef_search, depth) == (tuned.nprobe, tuned.ef_search, tuned.depth)
    lists, nodes = (("–" if value is None else f"{value:,}") for value in effort)
    recall = format_recall(trial.recall, trial.error)
    return ["→" if chosen else "", lists, nodes, f"{depth:,}", recall, f"{trial.ms:.2f}"]


def _trial_as_dict(trial: Trial[Plan]) -> dict[str, Any]:
    measured = {"recall": trial.recall, "error": trial.error, "ms": trial.ms}
    return {**trial.plan.effort._asdict(), "depth": trial.plan.depth, **measured}


def _store_trial_as_dict(trial: Trial[int | None]) -> dict[str, Any]:
    return {"effort": trial.plan, "recall": trial.recall, "error": trial.error, "ms": trial.ms}
