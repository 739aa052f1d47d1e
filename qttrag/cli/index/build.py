"""`qttrag index build|info|verify|search`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from qttrag.cli import output
from qttrag.cli.index.tuning import recall_words
from qttrag.errors import InputError

if TYPE_CHECKING:
    from qttrag.indexes.jobs.build import Progress
    from qttrag.indexes.storage.manifest import Manifest
    from qttrag.types import Hit

app = typer.Typer(no_args_is_help=True, help="Build, check and search collections.")
Name = Annotated[str, typer.Argument(help="A built index, or the path of its folder.")]
_BEGINNING = 160
_TELL_SECONDS = 60.0
_STEPS = {"encode": "encoding", "copy": "copying", "train": "training", "add": "adding"}


class OnError(StrEnum):
    """What to do with a record that cannot be used."""

    stop = "stop"
    skip = "skip"


@app.command()
def build(
    recipe: Annotated[str, typer.Argument(help="A recipe file, or its name in indexes/.")],
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the index that is there.")] = False,
    restart: Annotated[bool, typer.Option("--restart", help="Throw away what a broken-off build has done.")] = False,
    on_error: Annotated[OnError, typer.Option(help="Stop at a bad record, or skip and count it.")] = OnError.stop,
    as_json: output.Json = False,
) -> None:
    """Build the index that a recipe describes. Broken off, the same command goes on where it was.

    Examples:

      qttrag index build example

      qttrag index build ./my.yaml --overwrite --on-error skip
    """
    from qttrag.indexes import recipe as recipes
    from qttrag.indexes.jobs import build as building

    loaded = recipes.load(recipe)
    with shown_progress(loaded.name) as progress:
        manifest = building.build(
            loaded, overwrite=overwrite, restart=restart, on_error=on_error.value, progress=progress
        )
    show(manifest, as_json=as_json)


@app.command()
def info(
    name: Annotated[str | None, typer.Argument(help="A built index, or the path of its folder; all if absent.")] = None,
    as_json: output.Json = False,
) -> None:
    """Show what an index holds and was built with, or list all there are."""
    from qttrag import resources
    from qttrag.indexes import collection as search

    if name is not None:
        show(search.find(name).manifest, as_json=as_json)
        return
    manifests = [search.find(each).manifest for each in search.built()]
    if as_json:
        output.say_json([_facts(manifest) for manifest in manifests])
        return
    rows = [
        [
            m.name,
            f"{m.rows - m.removed:,}",
            _by_language(m),
            str(m.recipe["encoder"]["model"]),
            str(m.recipe["faiss"]),
            m.built,
        ]
        for m in manifests
    ]
    output.say(f"{len(rows)} indexes in {resources.built_folder()}")
    output.console().print(output.table("index", "passages", "languages", "encoder", "faiss", "built", rows=rows))


@app.command()
def verify(name: Name, as_json: output.Json = False) -> None:
    """Check every byte of an index against what was written; exit code 3 if anything is wrong."""
    from qttrag.indexes import collection as search

    found = search.verify(name)
    if as_json:
        output.say_json({"index": name, "problems": found})
    else:
        output.say(output.printable("\n".join(found)) if found else f"{name}: every file is as it was built")
    if found:
        raise typer.Exit(3)


@app.command("search")
def search_command(
    name: Name,
    text: Annotated[str, typer.Argument(help="What to search for.")],
    k: Annotated[int, typer.Option("-k", min=1, max=1000, help="How many passages.")] = 10,
    lang: Annotated[str | None, typer.Option("--lang", "-l", help="Only passages in this language.")] = None,
    as_json: output.Json = False,
) -> None:
    """Search one index with the encoder it was built with.

    Example: qttrag index search example "when was the bridge opened" -k 5
    """
    from qttrag.indexes import collection as search

    if not text.strip():
        raise InputError("the text to search for is empty; give one")
    recipe = search.find(name).manifest.recipe["encoder"]
    hits = output.run(_search(name, output.utf8(text), k, lang, recipe))
    if as_json:
        output.say_json([{"score": hit.score, **asdict(hit.passage)} for hit in hits])
        return
    rows = [
        [f"{hit.score:.3f}", hit.passage.passage_id, hit.passage.lang, hit.passage.title, hit.passage.text[:_BEGINNING]]
        for hit in hits
    ]
    output.console().print(output.table("score", "passage", "lang", "title", "beginning", rows=rows))


async def _search(name: str, text: str, k: int, lang: str | None, encoder: dict[str, Any]) -> list[Hit]:
    from qttrag.encoders.sentence_transformers import SentenceTransformersKind
    from qttrag.retrievers.dense import DenseRetriever
    from qttrag.types import Lang, Query

    settings = SentenceTransformersKind(
        encoder["model"],
        revision=encoder["revision"],
        device=encoder["device"] if isinstance(encoder["device"], str) else "auto",
        max_tokens=encoder["max_tokens"],
    )
    retriever = DenseRetriever(encoder=settings, collections=[name], languages=None if lang is None else [lang])
    return await retriever.retrieve(Query(text, Lang("und")), k)


@contextmanager
def shown_progress(name: str) -> Iterator[Callable[[Progress], None]]:
    """Draw a bar with passages a second and the time left, both of this run alone; in a log, write a line a minute."""
    import time

    from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bars

    begun: dict[str, tuple[float, Progress]] = {}
    told = time.monotonic()
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    with Bars(*columns, console=output.console(stderr=True), transient=True) as bars:
        task = bars.add_task(f"loading the encoder of {name}", total=None)

        def show(now: Progress) -> None:
            nonlocal told
            since, first = begun.setdefault(now.step, (time.monotonic(), now))
            words = f"{_STEPS[now.step]} {name}: {now.passages:,} passages{_pace(first, now, time.monotonic() - since)}"
            total = None if now.share is None else 1.0
            bars.update(task, description=words, total=total, completed=now.share or 0.0)
            if not bars.console.is_terminal and time.monotonic() - told >= _TELL_SECONDS:
                told = time.monotonic()
                bars.console.print(words)

        yield show


def _pace(first: Progress, now: Progress, seconds: float) -> str:
    """Return ", 1,200 a second, 3 h 05 min left", as far as it is known."""
    if seconds < 1 or now.passages <= first.passages:
        return ""
    pace = f", {(now.passages - first.passages) / seconds:,.0f} a second"
    if now.share is None or first.share is None or now.share <= first.share:
        return pace
    minutes = round(seconds * (1 - now.share) / (now.share - first.share) / 60)
    return f"{pace}, {minutes // 60} h {minutes % 60:02d} min left"


def show(manifest: Manifest, *, as_json: bool) -> None:
    if as_json:
        output.say_json(_facts(manifest))
        return
    encoder = manifest.recipe["encoder"]
    rows = [
        ["index", manifest.name],
        ["passages", f"{_passages(manifest)} ({_by_language(manifest)})"],
        *_changes(manifest),
        ["cut", f"{manifest.truncated:,} passages longer than the {encoder['max_tokens']} tokens the encoder reads"],
        ["skipped", ", ".join(f"{cause} {n:,}" for cause, n in manifest.skipped.items()) or "no record"],
        ["encoder", f"{encoder['model']} ({manifest.encoder_revision}), {manifest.dim} dimensions"],
        ["faiss", manifest.faiss or str(manifest.recipe["faiss"])],
        ["search", _search_words(manifest)],
        ["size", f"{sum(file.bytes for file in manifest.files.values()) / 1e6:,.1f} MB"],
        ["built", f"{manifest.built} by qttrag {manifest.qttrag}"],
    ]
    output.console().print(output.table("", "", rows=rows))


def _changes(manifest: Manifest) -> list[list[str]]:
    """Return rows that say what happened to an index since it was built; none if nothing did."""
    rows = [["removed", f"{manifest.removed:,} passages, until it is compacted"]] if manifest.removed else []
    for each in manifest.appended:
        paths = each.source["path"]
        source = ", ".join(paths) if isinstance(paths, list) else str(paths)
        rows.append(["appended", f"{each.passages:,} passages, {each.replaced:,} replaced, {each.at}, from {source}"])
    return rows


def _search_words(manifest: Manifest) -> str:
    tuned = manifest.tuned
    if tuned is None:
        return "not tuned: qttrag index tune"
    effort = "".join(f"{n:,} {what}, " for n, what in ((tuned.nprobe, "lists"), (tuned.ef_search, "nodes")) if n)
    return (
        f"{effort}{tuned.depth:,} candidates: recall@{tuned.k} {recall_words(tuned.recall, tuned.error)} over "
        f"{tuned.queries} queries ({tuned.sample}), {tuned.ms:.1f} ms"
    )


def _facts(manifest: Manifest) -> dict[str, Any]:
    return manifest.model_dump(mode="json")


def _passages(manifest: Manifest) -> str:
    return f"{manifest.rows - manifest.removed:,}"


def _by_language(manifest: Manifest) -> str:
    return ", ".join(f"{lang} {n:,}" for lang, n in sorted(manifest.langs.items()))
