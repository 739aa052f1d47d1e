"""Prints what an index contains and how it was built."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from qttrag.cli import output
from qttrag.encoders.language_means import PREFIX

if TYPE_CHECKING:
    from qttrag.indexes.jobs.document_reading import DocumentOutcome
    from qttrag.indexes.storage.manifest import Manifest


def show_manifest(manifest: Manifest, *, as_json: bool) -> None:
    if as_json:
        output.say_json(manifest.model_dump(mode="json"))
        return
    encoder = manifest.recipe["encoder"]
    rows = [
        ["index", manifest.name],
        ["passages", f"{manifest.rows - manifest.removed:,} ({format_langs(manifest)})"],
        *_changes(manifest),
        ["cut", f"{manifest.truncated:,} passages longer than the {encoder['max_tokens']} tokens the encoder reads"],
        ["skipped", ", ".join(f"{cause} {n:,}" for cause, n in manifest.skipped.items()) or "no record"],
        *(
            [["repaired", ", ".join(f"{cause} {n:,}" for cause, n in manifest.repaired.items())]]
            if manifest.repaired
            else []
        ),
        ["encoder", f"{encoder['model']} ({manifest.encoder_revision}), {manifest.dim} dimensions"],
        ["faiss", manifest.faiss or str(manifest.recipe["faiss"])],
        ["search", _search_plan(manifest)],
        *([["means", "of each language, measured"]] if _has_means(manifest) else []),
        ["size", f"{sum(file.bytes for file in manifest.files.values()) / 1e6:,.1f} MB"],
        ["built", f"{manifest.built} by qttrag {manifest.qttrag}"],
    ]
    output.console().print(output.table("", "", rows=rows))


def format_langs(manifest: Manifest) -> str:
    """Return the number of passages by language: "en 10, fi 12"."""
    return format_counts(manifest.langs)


def format_counts(langs: Mapping[str, int]) -> str:
    """Return counts by language: "en 10, fi 12"."""
    return ", ".join(f"{lang} {n:,}" for lang, n in sorted(langs.items()))


def format_recall(recall: float, error: float | None) -> str:
    """Return a recall with its standard error, if known."""
    return f"{recall:.4f}" if error is None else f"{recall:.4f} ± {error:.4f}"


def _changes(manifest: Manifest) -> list[list[str]]:
    """Return table rows for passages removed and appended since the build."""
    rows = [["removed", f"{manifest.removed:,} passages, until compacted"]] if manifest.removed else []
    for addition in manifest.appended:
        paths = addition.source["path"]
        source = ", ".join(paths) if isinstance(paths, list) else str(paths)
        counts = f"{addition.passages:,} passages, {addition.replaced:,} replaced"
        rows.append(["appended", f"{counts}, {addition.at}, from {source}"])
    return rows


def _has_means(manifest: Manifest) -> bool:
    return any(name.startswith(PREFIX) for name in manifest.files)


def _search_plan(manifest: Manifest) -> str:
    tuned = manifest.tuned
    if tuned is None:
        return "not tuned: qttrag index tune"
    effort = "".join(f"{n:,} {what}, " for n, what in ((tuned.nprobe, "lists"), (tuned.ef_search, "nodes")) if n)
    return (
        f"{effort}{tuned.depth:,} candidates: recall@{tuned.k} {format_recall(tuned.recall, tuned.error)} over "
        f"{tuned.queries} queries ({tuned.sample}), {tuned.ms:.1f} ms"
    )


def show_outcomes(outcomes: Sequence[DocumentOutcome]) -> None:
    """Print what became of each document that is not unchanged, and their numbers by outcome."""
    rows = [
        [outcome.name, outcome.state, f"{outcome.passages:,}" if outcome.passages else "", _remark(outcome)]
        for outcome in outcomes
        if outcome.state != "unchanged" or outcome.pages_without_text
    ]
    if rows:
        output.console().print(output.table("document", "", "passages", "", rows=rows))
    counts: Counter[str] = Counter(outcome.state for outcome in outcomes)
    states = ("indexed", "unchanged", "removed", "failed")
    what = "document" if len(outcomes) == 1 else "documents"
    output.say(f"{len(outcomes):,} {what}: {', '.join(f'{counts[state]:,} {state}' for state in states)}")


def _remark(outcome: DocumentOutcome) -> str:
    if outcome.code is not None:
        earlier = "; its earlier version stays" if outcome.passages else ""
        return f"{outcome.message} ({outcome.code}){earlier}"
    images = outcome.pages_without_text
    return f"{images:,} of its pages are images and were not read" if images else ""
