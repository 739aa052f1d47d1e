"""`qttrag index info|verify|search`: reading an index without changing it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from qttrag.application.serialization import passage_fields
from qttrag.cli import output
from qttrag.cli.index.options import InProcess, Name
from qttrag.cli.index.summary import format_langs, show_manifest
from qttrag.errors import InputError

if TYPE_CHECKING:
    from qttrag.indexes.recipe import EncoderSettings
    from qttrag.types import Hit

_SHOWN_CHARACTERS = 160


def info(
    name: Annotated[
        str | None, typer.Argument(help="A built index, or the path of its folder; all if omitted.")
    ] = None,
    as_json: output.Json = False,
) -> None:
    """Show what an index contains and how it was built, or list all indexes."""
    from qttrag import resources
    from qttrag.indexes import collection

    if name is not None:
        show_manifest(collection.find(name).manifest, as_json=as_json)
        return
    manifests = [collection.find(built).manifest for built in collection.built()]
    if as_json:
        output.say_json([manifest.model_dump(mode="json") for manifest in manifests])
        return
    rows = [
        [
            m.name,
            f"{m.rows - m.removed:,}",
            format_langs(m),
            str(m.recipe["encoder"]["model"]),
            str(m.recipe["faiss"]),
            m.built,
        ]
        for m in manifests
    ]
    output.say(f"{len(rows)} indexes in {resources.built_folder()}")
    output.console().print(output.table("index", "passages", "languages", "encoder", "faiss", "built", rows=rows))


def verify(name: Name, as_json: output.Json = False) -> None:
    """Compare every byte of an index with its checksums; exit code 3 if anything differs."""
    from qttrag.indexes import collection

    problems = collection.verify(name)
    if as_json:
        output.say_json({"index": name, "problems": problems})
    else:
        output.say(output.printable("\n".join(problems)) if problems else f"{name}: all files are intact")
    if problems:
        raise typer.Exit(3)


def search(
    name: Name,
    text: Annotated[str, typer.Argument(help="The text to search for.")],
    k: Annotated[int, typer.Option("-k", min=1, max=1000, help="The number of passages.")] = 10,
    lang: Annotated[str | None, typer.Option("--lang", "-l", help="Only passages in this language.")] = None,
    in_process: InProcess = False,
    as_json: output.Json = False,
) -> None:
    """Search one index with the encoder it was built with, behind the recipe's servers if it has some.

    Example: qttrag index search example "when was the bridge opened" -k 5
    """
    from qttrag.indexes import collection
    from qttrag.indexes.jobs.workers import question_settings
    from qttrag.indexes.recipe import Recipe

    if not text.strip():
        raise InputError("the text to search for is empty; give one")
    settings = question_settings(Recipe(**collection.find(name).manifest.recipe).encoder, in_process=in_process)
    hits = output.run(_search(name, output.utf8(text), k, lang, settings))
    if as_json:
        output.say_json([{"score": hit.score, **passage_fields(hit.passage)} for hit in hits])
        return
    rows = [
        [f"{hit.score:.3f}", passage.passage_id, passage.lang, passage.title, passage.text[:_SHOWN_CHARACTERS]]
        for hit in hits
        for passage in [hit.passage]
    ]
    output.console().print(output.table("score", "passage", "lang", "title", "beginning", rows=rows))


async def _search(name: str, text: str, k: int, lang: str | None, settings: EncoderSettings) -> list[Hit]:
    from qttrag.application.factory import open_encoder
    from qttrag.retrievers.dense import DenseRetriever
    from qttrag.types import UNDETERMINED, Query

    retriever = DenseRetriever(
        encoder=open_encoder(settings), collections=[name], languages=None if lang is None else [lang]
    )
    return await retriever.retrieve(Query(text, UNDETERMINED), k)
