"""`qttrag index import-bergen`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer

from qttrag.cli import output
from qttrag.cli.index.options import Overwrite, Restart
from qttrag.cli.index.progress import show_progress
from qttrag.cli.index.summary import show_manifest
from qttrag.errors import InputError


def import_bergen(
    folder: Annotated[Path, typer.Argument(help="The folder with embedding_chunk_*.pt.")],
    passages: Annotated[Path, typer.Option(help="The data set: a folder saved by `datasets`, or data files.")],
    lang: Annotated[str, typer.Option(help="The language of the passages.")],
    name: Annotated[str | None, typer.Option(help="The name of the index; default: from the folder's name.")] = None,
    id_prefix: Annotated[str, typer.Option(help="A prefix for all ids.")] = "",
    model: Annotated[str, typer.Option(help="The encoder of the vectors.")] = "BAAI/bge-m3",
    revision: Annotated[str | None, typer.Option(help="The encoder's revision.")] = None,
    max_tokens: Annotated[int, typer.Option(min=8, help="The most tokens of a question to encode.")] = 256,
    device: Annotated[str, typer.Option(help="The encoder's device.")] = "auto",
    faiss: Annotated[str, typer.Option(help="A FAISS factory string, or auto.")] = "auto",
    id_field: Annotated[str, typer.Option(help="The data set's field with the id.")] = "id",
    text_field: Annotated[str, typer.Option(help="The data set's field with the text.")] = "content",
    overwrite: Overwrite = False,
    restart: Restart = False,
    as_json: output.Json = False,
) -> None:
    """Import an index that BERGEN published, without encoding its passages again.

    Vectors and passages must match row for row; some passages are encoded again to check. Vector files are read as data
    only: no code in them is run. In Chinese, Japanese and Thai, the spaces that BERGEN puts between all characters are
    removed. Ids stay unchanged; in runs over several merged data sets BERGEN prefixes them with the data set's name,
    which --id-prefix reproduces. After an interruption, the same command resumes.

    Examples:

      qttrag index import-bergen indexes/wiki-100w-ko_doc_BAAI_bge-m3 --passages datasets/wiki-100w-ko_train --lang ko

      qttrag index import-bergen ./kilt --passages ./kilt-100w_full --lang en --name wiki-en --id-prefix kilt-100w_
    """
    from qttrag.application.factory import open_encoder
    from qttrag.indexes.jobs.import_bergen import import_index, make_recipe
    from qttrag.indexes.recipe import EncoderSettings, Fields

    recipe = make_recipe(
        name or _name_of(folder),
        passages,
        lang=lang,
        encoder=EncoderSettings(model=model, revision=revision, max_tokens=max_tokens, device=device),
        fields=Fields(id=id_field, text=text_field),
        faiss=faiss,
    )
    with show_progress(recipe.name) as progress:
        manifest = import_index(
            folder,
            recipe,
            open_encoder=open_encoder,
            id_prefix=id_prefix,
            overwrite=overwrite,
            restart=restart,
            progress=progress,
        )
    show_manifest(manifest, as_json=as_json)
    if not as_json:
        output.say("The number of passages longer than the encoder reads is unknown for imported vectors.")


def _name_of(folder: Path) -> str:
    """Return "wiki-100w-ko" for the folder wiki-100w-ko_doc_BAAI_bge-m3, as a valid name of an index."""
    name = re.sub(r"[^a-z0-9_-]+", "-", folder.resolve().name.partition("_doc_")[0].lower()).lstrip("_-")
    if not name:
        raise InputError(f"{folder}: its name gives no valid name of an index; set one with --name")
    return name
