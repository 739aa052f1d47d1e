"""`qttrag index export`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from qttrag.cli import output
from qttrag.cli.index.options import Name
from qttrag.cli.index.progress import show_progress
from qttrag.cli.index.summary import format_counts, format_recall

if TYPE_CHECKING:
    from qttrag.stores.versioned import VersionedCollection


def export(
    name: Name,
    to: Annotated[
        str,
        typer.Option(
            "--to",
            help="milvus://HOST:PORT, qdrant://HOST:PORT, milvus+https://HOST, milvus:FILE.db, qdrant:FOLDER; settings "
            "of the kind follow a question mark.",
        ),
    ],
    update: Annotated[
        bool,
        typer.Option("--update", help="Change the published version in place; readers see some changes before others."),
    ] = False,
    as_json: output.Json = False,
) -> None:
    """Write a built index into a vector database, with its texts; nothing is encoded.

    Questions are answered from the earlier version until the new one is complete. After an interruption, the same
    command resumes. After `append` or `remove`, the command writes a new version; with --update it stores only what
    was appended and deletes what was removed.

    Examples:

      qttrag index export wiki-ko --to milvus://milvus:19530

      qttrag index export wiki-ko --to "milvus://milvus:19530?index=IVF_RABITQ&index_options.nlist=4096"

      qttrag index export wiki-ko --to qdrant://qdrant:6333 --update
    """
    from qttrag.application.store_addresses import store_at
    from qttrag.indexes.collection import find

    store = store_at(to, find(name).manifest.name)
    export_into(name, store, update=update)
    show_stored(store, as_json=as_json)


def export_into(name: str, store: VersionedCollection, *, update: bool = False) -> None:
    """Export a built index with a progress bar."""
    from qttrag.stores.export import export

    with show_progress(name) as progress:
        export(name, store, update=update, progress=progress)


def show_stored(store: VersionedCollection, *, as_json: bool) -> None:
    """Print what a collection in a database contains, and the settings with which a deployment searches it."""
    manifest = store.manifest
    if as_json:
        output.say_json({"store": store.database.kind, "place": store.place, **manifest.model_dump(mode="json")})
        return
    tuned = manifest.tuned
    recall = "not measured: qttrag index tune --store" if tuned is None else format_recall(tuned.recall, tuned.error)
    rows = [
        ["collection", f"{manifest.name} in {store.database.kind} at {store.place}"],
        ["passages", f"{manifest.rows:,} ({format_counts(manifest.langs)})"],
        ["encoder", f"{manifest.encoder['model']} ({manifest.encoder['revision']})"],
        ["index", ", ".join(f"{name} {value}" for name, value in manifest.index.items())],
        ["recall", recall if tuned is None else f"recall@{tuned.k} {recall} over {tuned.queries} queries"],
        ["exported", f"{manifest.exported} by qttrag {manifest.qttrag}"],
    ]
    output.console().print(output.table("", "", rows=rows))
